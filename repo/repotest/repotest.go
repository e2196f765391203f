// Package repotest makes small real packages and repositories for tests, the
// way net/http/httptest makes servers. Only tests import it.
package repotest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/signing"
)

// Now is the moment at which tests publish.
var Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Key makes a packager's key.
func Key(t testing.TB) *signing.PrivateKey {
	t.Helper()
	key, err := signing.Generate("Test Packager", "packager@example.org", Now.Add(-24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Package writes a package with one file into dir and returns its path. name
// is "zlib-1.2.13-1" or "zlib-1.2.13-1.noarch"; edit, which may be nil, changes
// the manifest first.
func Package(t testing.TB, dir, name string, content string, edit func(*pkgfile.Manifest), signers ...*signing.PrivateKey) string {
	t.Helper()
	arch := "x86_64"
	if base, ok := strings.CutSuffix(name, ".noarch"); ok {
		name, arch = base, "noarch"
	}
	var m pkgfile.Manifest
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		t.Fatalf("name %q is not name-version-release", name)
	}
	if _, err := fmt.Sscan(parts[2], &m.Release); err != nil {
		t.Fatal(err)
	}
	m.Format, m.Name, m.Version, m.Arch, m.Upstream = pkgfile.FormatVersion, parts[0], parts[1], arch, parts[1]
	m.Summary, m.License, m.Recipe = "the "+parts[0]+" package", "MIT", parts[0]
	m.Requires = []string{"filesystem"}
	m.Provides = []string{"cmd(" + parts[0] + ")"}
	m.Provenance = pkgfile.Provenance{Action: strings.Repeat("ab", 32), Origin: "source", Epoch: Now.Unix()}
	if edit != nil {
		edit(&m)
	}
	input := pkgfile.Input{
		File: pkgfile.File{Path: "usr/share/" + parts[0] + "/data", Type: pkgfile.TypeFile, Mode: 0o644, Owner: "root", Group: "root"},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
	var dirs []pkgfile.Input
	for _, d := range []string{"usr", "usr/share", "usr/share/" + parts[0]} {
		dirs = append(dirs, pkgfile.Input{File: pkgfile.File{Path: d, Type: pkgfile.TypeDir, Mode: 0o755, Owner: "root", Group: "root"}})
	}
	var out bytes.Buffer
	if _, err := pkgfile.Write(context.Background(), &out, m, append(dirs, input), pkgfile.Options{Signers: signers}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name+"."+arch+pkgfile.MediaSuffix)
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Repository makes a repository in a temporary folder whose only packager is
// key. Its clock is what now points to; its keys are in the folder Keys(dir).
func Repository(t testing.TB, s repo.Settings, now *time.Time, key *signing.PrivateKey) (*repo.Repository, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	if s.Name == "" {
		s.Name = "test"
	}
	s.Packagers = append(s.Packagers, key.Public())
	r, err := repo.Init(t.Context(), dir, s, repo.Options{Keys: Keys(dir), Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return r, dir
}

// Keys is the folder of keys of a repository made by Repository.
func Keys(dir string) string { return filepath.Join(filepath.Dir(dir), "keys") }

// Publish adds files to the stable channel and publishes.
func Publish(t testing.TB, r *repo.Repository, files ...string) *repo.Publication {
	t.Helper()
	if _, err := r.Add(t.Context(), repo.DefaultChannel, files...); err != nil {
		t.Fatal(err)
	}
	p, err := r.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Root returns the root metadata that a client pins.
func Root(t testing.TB, dir string) []byte {
	t.Helper()
	root, err := repo.ReadRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root.Data
}
