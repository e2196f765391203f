package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"ashlar/pkgtool/fault"
)

// TestAdvisories: a repository's advisories come with a refresh, and are read
// without any mirror.
func TestAdvisories(t *testing.T) {
	w, _ := newWorld(t)
	url := w.serve(w.dir)
	c := w.client(url)
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := c.Advisories(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("before there is any: %v, %v", all, err)
	}
	document := []byte(`{"schema_version":"1.6.0","id":"ASHLAR-2026-1","modified":"2026-03-01T00:00:00Z",
		"affected":[{"package":{"ecosystem":"Ashlar","name":"bash"},"versions":["5.2.15-1"]}]}`)
	if _, err := w.repo.AddAdvisories(t.Context(), document); err != nil {
		t.Fatal(err)
	}
	if _, err := w.repo.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = w.client("http://127.0.0.1:1")
	if _, err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := c.Advisories(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != "ASHLAR-2026-1" || all[0].Repo != "test" {
		t.Fatalf("%v, %v", all, err)
	}
	files, err := filepath.Glob(filepath.Join(w.dirs.Cache, "objects", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data := read(t, file)
		data[len(data)-1] ^= 1
		write(t, file, data)
	}
	if all, err := c.Advisories(t.Context()); len(all) != 0 || fault.Hints(err) == nil {
		t.Errorf("damaged: %v, %v", all, err)
	}
	for _, file := range files {
		os.Remove(file)
	}
	if all, err := c.Advisories(t.Context()); len(all) != 0 || fault.Hints(err) == nil {
		t.Errorf("gone: %v, %v", all, err)
	}
	c = w.client(url)
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := c.Advisories(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("refreshed: %v, %v", all, err)
	}
}
