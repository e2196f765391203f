package client

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite the published schema")

func TestPublishedSchemaIsCurrent(t *testing.T) {
	const published = "../../docs/formats/repositories.schema.json"
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(published, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(published); !bytes.Equal(got, schema) {
		t.Errorf("%s is not what the types say (%v); run: go test ./pkgtool/client -update", published, err)
	}
}

func TestLoadConfigs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"20-ours.yaml": "schema: 1\nname: ours\nurls: [https://packages.example.org/, file:///media/repo]\npriority: 90\n",
		"10-base.yaml": "schema: 1\nname: base\nurls: [http://mirror.example.org:8080/base]\nchannel: testing\nenabled: false\n",
		"notes.txt":    "not a definition",
		".old.yaml":    "not read",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := LoadConfigs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "ours" || got[0].Channel != "stable" || !got[0].On() || len(got[0].URLs) != 2 ||
		got[1].Name != "base" || got[1].Channel != "testing" || got[1].Priority != DefaultPriority || got[1].On() {
		t.Errorf("%+v", got)
	}
	if got, err := LoadConfigs(filepath.Join(dir, "absent")); err != nil || got != nil {
		t.Errorf("absent folder: %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "30-again.yaml"), []byte("schema: 1\nname: ours\nurls: [file:///x]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfigs(dir); err == nil || !strings.Contains(err.Error(), "20-ours.yaml and in 30-again.yaml") {
		t.Errorf("defined twice: %v", err)
	}
}

func TestReadConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, says string }{
		"unknown key":   {"schema: 1\nname: x\nurl: http://x\n", `did you mean "urls"?`},
		"no urls":       {"schema: 1\nname: x\n", "urls is empty"},
		"schema":        {"schema: 2\nname: x\nurls: [file:///x]\n", "schema is 2"},
		"name":          {"schema: 1\nname: ../x\nurls: [file:///x]\n", "invalid name"},
		"channel":       {"schema: 1\nname: x\nurls: [file:///x]\nchannel: a/b\n", "invalid channel"},
		"scheme":        {"schema: 1\nname: x\nurls: [ftp://x]\n", "use http, https, file or oci"},
		"relative file": {"schema: 1\nname: x\nurls: ['file:x']\n", "file:///absolute/path"},
		"file host":     {"schema: 1\nname: x\nurls: [file://host/x]\n", "file:///absolute/path"},
		"query":         {"schema: 1\nname: x\nurls: ['http://x/?y']\n", "query"},
		"no host":       {"schema: 1\nname: x\nurls: ['http:///x']\n", "use http"},
		"priority":      {"schema: 1\nname: x\nurls: [file:///x]\npriority: -1\n", "priority"},
	} {
		path := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(path, []byte(tc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadConfig(path)
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) || fault.ClassOf(err) != fault.Usage {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
	}
}

// TestReadConfigDoesNotWait: something odd in the place of a definition is an
// error, and not a hang or a memory full of zeros.
func TestReadConfigDoesNotWait(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"fifo":   func(path string) error { return unix.Mkfifo(path, 0o644) },
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
		"device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"huge": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<40))
		},
	} {
		path := filepath.Join(dir, name+".yaml")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		done := time.AfterFunc(10*time.Second, func() { panic(name + " is waited for") })
		if _, err := LoadConfigs(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		done.Stop()
		os.Remove(path)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("schema: 1\nname: ours\nurls: [https://packages.example.org/]\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := ReadConfig(path); err == nil {
			if _, err := Open([]Config{c}, DirsOf(t.TempDir()), Options{}); err != nil {
				t.Errorf("read and not opened: %v", err)
			}
		}
	})
}
