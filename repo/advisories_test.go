package repo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/repo"
	"ashlar/repo/repotest"
)

func osv(id, modified string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"modified":%q,"affected":[{"package":{"ecosystem":"Ashlar","name":"zlib"},
		"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.2.14-1"}]}]}]}`, id, modified)
}

func TestAdvisoriesArePublished(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
	if _, err := os.Stat(filepath.Join(dir, "advisories")); err == nil {
		if files, _ := os.ReadDir(filepath.Join(dir, "advisories")); len(files) > 0 {
			t.Error("a repository without advisories has a file of them")
		}
	}
	if _, err := r.AddAdvisories(t.Context(), osv("ASH-1", "2026-11-02T00:00:00Z"), []byte(`{"id":"ASH-2"}`)); err == nil {
		t.Fatal("a wrong document was taken")
	}
	if all, err := r.Advisories(); err != nil || len(all) != 0 {
		t.Fatalf("after a refusal: %v, %v", all, err)
	}
	if _, err := r.AddAdvisories(t.Context(), osv("ASH-1", "2026-11-02T00:00:00Z"), osv("ASH-2", "2026-11-02T00:00:00Z")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddAdvisories(t.Context(), osv("ASH-1", "2026-11-01T00:00:00Z")); err == nil || !strings.Contains(err.Error(), "was modified on") {
		t.Errorf("an older document took the place of a newer: %v", err)
	}
	for i, modified := range []string{"2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z", "2026-11-03T00:00:00Z"} {
		added, err := r.AddNewerAdvisories(t.Context(), osv("ASH-1", modified))
		if newer := i == 2; err != nil || (len(added) == 1) != newer {
			t.Errorf("modified %s: %d were added, %v", modified, len(added), err)
		}
	}
	p, err := r.Publish(t.Context())
	if err != nil || !p.Changed || p.Packages != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if problems := check(t, dir, now); len(problems) != 0 {
		t.Errorf("check: %v", problems)
	}
	files, err := filepath.Glob(filepath.Join(dir, "advisories", "*.osv.zst"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files: %v, %v", files, err)
	}
	if p, err = r.Publish(t.Context()); err != nil || p.Changed {
		t.Errorf("published again without a change: %+v, %v", p, err)
	}
	for _, id := range []string{"ASH-1", "ASH-2"} {
		if err := r.RemoveAdvisory(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.RemoveAdvisory(t.Context(), "ASH-1"); err == nil {
		t.Error("an advisory was removed twice")
	}
	if p, err = r.Publish(t.Context()); err != nil || !p.Changed {
		t.Errorf("after removing: %+v, %v", p, err)
	}
	if problems := check(t, dir, now); len(problems) != 0 {
		t.Errorf("check: %v", problems)
	}
	if err := os.WriteFile(files[0], []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddAdvisories(t.Context(), osv("ASH-1", "2026-11-04T00:00:00Z"), osv("ASH-2", "2026-11-02T00:00:00Z")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if problems := check(t, dir, now); len(problems) != 0 {
		t.Errorf("a damaged file was not written again: %v", problems)
	}
}
