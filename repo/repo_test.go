package repo_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/repo/tuf"
	"ashlar/signing"
)

// tree returns the content of every file under dir, by relative path.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func check(t *testing.T, dir string, now time.Time) []repo.Problem {
	t.Helper()
	report, err := repo.Check(t.Context(), dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return report.Problems
}

func TestPublish(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	if problems := check(t, dir, now); len(problems) != 1 || problems[0].Kind != repo.Missing {
		t.Errorf("before the first publication: %v", problems)
	}
	in := t.TempDir()
	p := repotest.Publish(t, r, repotest.Package(t, in, "zlib-1.2.13-1", "zlib", nil, key),
		repotest.Package(t, in, "tzdata-2025.2.0-1.noarch", "zones", nil, key))
	if !p.Changed || p.Packages != 2 || !p.Expires.Equal(now.AddDate(0, 0, repo.DefaultLifetimes.Timestamp)) {
		t.Errorf("first publication: %+v", p)
	}
	if problems := check(t, dir, now); len(problems) != 0 {
		t.Errorf("check: %v", problems)
	}

	t.Run("nothing changed, nothing written", func(t *testing.T) {
		before := tree(t, dir)
		now = now.Add(6 * 24 * time.Hour)
		p, err := r.Publish(t.Context())
		if err != nil || p.Changed {
			t.Fatalf("%+v, %v", p, err)
		}
		if after := tree(t, dir); !equalTrees(before, after) {
			t.Error("files changed")
		}
	})
	t.Run("past half of its life, only the timestamp is signed anew", func(t *testing.T) {
		before := tree(t, dir)
		now = now.Add(48 * time.Hour)
		p, err := r.Publish(t.Context())
		if err != nil || !p.Changed {
			t.Fatalf("%+v, %v", p, err)
		}
		after := tree(t, dir)
		if before["metadata/timestamp.json"] == after["metadata/timestamp.json"] || len(before) != len(after) {
			t.Errorf("%d files before, %d after", len(before), len(after))
		}
	})
	t.Run("check after expiry", func(t *testing.T) {
		problems := check(t, dir, now.AddDate(0, 0, 15))
		if len(problems) != 1 || problems[0].Kind != tuf.Stale {
			t.Errorf("%v", problems)
		}
	})
	t.Run("another build of the same release", func(t *testing.T) {
		other := repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib, other", nil, key)
		_, err := r.Add(t.Context(), "stable", other)
		if fault.ClassOf(err) != fault.Usage || !strings.Contains(strings.Join(fault.Hints(err), " "), "raise the release") {
			t.Errorf("got %v", err)
		}
		if problems := check(t, dir, now); len(problems) != 0 {
			t.Errorf("check: %v", problems)
		}
	})
}

func equalTrees(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

func TestDevelopmentReplaces(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{Development: true}, &now, key)
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "first build", nil, key))
	first, err := r.List()
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	rebuilt := repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "second build", nil, key)
	added, err := r.Add(t.Context(), "stable", rebuilt)
	if err != nil || added[0].Replaced != first[0].SHA256 {
		t.Fatalf("%+v, %v", added, err)
	}
	if _, err := r.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	now2, err := r.List()
	if err != nil || len(now2) != 1 || now2[0].SHA256 != added[0].SHA256 || !now2[0].Published {
		t.Fatalf("%+v, %v", now2, err)
	}
	// A client in the middle of the old state still finds its file.
	if _, err := os.Stat(filepath.Join(dir, first[0].Path)); err != nil {
		t.Error(err)
	}
	if problems := check(t, dir, now); len(problems) != 0 {
		t.Errorf("check: %v", problems)
	}
}

// TestSameInputSameBytes: two repositories made with the same keys, packages
// and clock are equal, file by file.
func TestSameInputSameBytes(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	keys, in := t.TempDir(), t.TempDir()
	a := repotest.Package(t, in, "zlib-1.2.13-1", "zlib", nil, key)
	b := repotest.Package(t, in, "bash-5.2.15-3", "bash", nil, key)
	var trees []map[string]string
	for _, order := range [][]string{{a, b}, {b, a}} {
		dir := t.TempDir()
		r, err := repo.Init(t.Context(), dir, repo.Settings{Name: "test", Packagers: packagers(key)}, repo.Options{Keys: keys, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		repotest.Publish(t, r, order...)
		trees = append(trees, tree(t, dir))
	}
	for name := range trees[0] {
		if trees[0][name] != trees[1][name] {
			t.Errorf("%s differs", name)
		}
	}
	if len(trees[0]) != len(trees[1]) {
		t.Error("different files")
	}
}

func TestAddRefuses(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	good := repotest.Package(t, in, "good-1.0.0-1", "good", nil, key)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(in, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := bytes.Clone(data)
	flipped[len(flipped)-20] ^= 1
	before := tree(t, dir)
	for name, tc := range map[string]struct{ file, says string }{
		"tampered":     {write("tampered.ashlar", flipped), ""},
		"truncated":    {write("truncated.ashlar", data[:len(data)-1]), ""},
		"not signed":   {repotest.Package(t, in, "unsigned-1.0.0-1", "x", nil), "allow"},
		"stranger":     {repotest.Package(t, in, "stranger-1.0.0-1", "x", nil, repotest.Key(t)), "allow"},
		"no package":   {write("text.ashlar", []byte("hello")), ""},
		"missing file": {filepath.Join(in, "absent.ashlar"), "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Add(t.Context(), "stable", good, tc.file)
			if err == nil {
				t.Fatal("accepted")
			}
			if text := err.Error() + strings.Join(fault.Hints(err), " "); !strings.Contains(text, tc.says) || !strings.Contains(text, filepath.Base(tc.file)) {
				t.Errorf("message %q", text)
			}
			if name != "missing file" && fault.ClassOf(err) != fault.Security {
				t.Errorf("class %d: %v", fault.ClassOf(err), err)
			}
		})
	}
	list, err := r.List()
	if err != nil || len(list) != 0 {
		t.Errorf("a package was taken: %v, %v", list, err)
	}
	for name := range tree(t, dir) {
		if _, ok := before[name]; !ok && !strings.HasPrefix(name, "pool/g/good/") && name != ".ashlar/lock" {
			t.Errorf("left behind: %s", name)
		}
	}
}

// TestAddWithoutUnpacking still proves the signature and every byte of data.
func TestAddWithoutUnpacking(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	_, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	r, err := repo.Open(dir, repo.Options{Keys: repotest.Keys(dir), NoUnpack: true, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	in := t.TempDir()
	good := repotest.Package(t, in, "good-1.0.0-1", "good", nil, key)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := pkgfile.OpenFile(good)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for at := int(opened.MetaSize()); at < len(data); at++ {
		flipped := bytes.Clone(data)
		flipped[at] ^= 1
		bad := filepath.Join(in, "bad.ashlar")
		if err := os.WriteFile(bad, flipped, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Add(t.Context(), "stable", bad); fault.ClassOf(err) != fault.Security {
			t.Fatalf("byte %d of %d changed: %v", at, len(data), err)
		}
	}
	if _, err := r.Add(t.Context(), "stable", repotest.Package(t, in, "stranger-1.0.0-1", "x", nil, repotest.Key(t))); fault.ClassOf(err) != fault.Security {
		t.Errorf("a stranger's: %v", err)
	}
	repotest.Publish(t, r, good)
	if problems := check(t, dir, now); len(problems) != 0 {
		t.Error(problems)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	for name, tc := range map[string]struct {
		glob   string
		damage func(path string, data []byte) error
		kind   tuf.Kind
	}{
		"package flipped":   {"pool/*/*/*.ashlar", flip, tuf.Tampered},
		"package missing":   {"pool/*/*/*.ashlar", remove, repo.Missing},
		"index flipped":     {"index/*.zst", flip, tuf.Tampered},
		"index missing":     {"index/*.zst", remove, repo.Missing},
		"keyring flipped":   {"keyring/*.pgp", flip, tuf.Tampered},
		"timestamp flipped": {"metadata/timestamp.json", flip, tuf.Unsigned},
		"snapshot flipped":  {"metadata/*.snapshot.json", flip, tuf.Tampered},
		"targets cut":       {"metadata/*.targets.json", cut, tuf.Tampered},
		"root flipped":      {"metadata/1.root.json", flip, ""},
		"symlink": {"metadata/timestamp.json", func(path string, data []byte) error {
			return os.Symlink("/etc/passwd", filepath.Join(filepath.Dir(path), "passwd"))
		}, tuf.Tampered},
	} {
		t.Run(name, func(t *testing.T) {
			now := repotest.Now
			key := repotest.Key(t)
			r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
			repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
			found, err := filepath.Glob(filepath.Join(dir, tc.glob))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			data, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.damage(found[0], data); err != nil {
				t.Fatal(err)
			}
			problems := check(t, dir, now)
			if len(problems) == 0 || tc.kind != "" && problems[0].Kind != tc.kind {
				t.Errorf("problems: %v", problems)
			}
			if strings.HasPrefix(name, "root") || strings.HasPrefix(name, "timestamp") || strings.HasPrefix(name, "snapshot") {
				if _, err := r.Publish(t.Context()); err == nil {
					t.Error("the publisher builds on damaged metadata")
				}
			}
		})
	}
}

func flip(path string, data []byte) error {
	data = bytes.Clone(data)
	// Inside a hexadecimal or compressed part in every file of a repository.
	at := len(data) / 2
	if i := bytes.Index(data, []byte(`"sig":"`)); i >= 0 {
		at = i + 10
		if data[at] == 'a' {
			data[at] = 'b'
		} else {
			data[at] = 'a'
		}
	} else {
		data[at] ^= 1
	}
	return os.WriteFile(path, data, 0o644)
}

func cut(path string, data []byte) error { return os.WriteFile(path, data[:len(data)/2], 0o644) }

func remove(path string, _ []byte) error { return os.Remove(path) }

func TestInit(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	keys := t.TempDir()
	dir := t.TempDir()
	o := repo.Options{Keys: keys, Now: func() time.Time { return now }}
	s := repo.Settings{Name: "test", Packagers: packagers(key)}
	if _, err := repo.Open(dir, o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open an empty folder: %v", err)
	}
	r, err := repo.Init(t.Context(), dir, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Init(t.Context(), dir, s, o); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := repo.Init(t.Context(), dir, repo.Settings{Name: "other", Packagers: s.Packagers}, o); fault.ClassOf(err) != fault.Usage {
		t.Errorf("with another name: %v", err)
	}
	if _, err := repo.Init(t.Context(), t.TempDir(), repo.Settings{Name: "../x", Packagers: s.Packagers}, o); fault.ClassOf(err) != fault.Usage {
		t.Errorf("with a bad name: %v", err)
	}
	err = filepath.WalkDir(keys, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && path != keys && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	t.Run("made anew under the same keys", func(t *testing.T) {
		before, err := repo.ReadRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		p := repotest.Publish(t, r)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
		if r, err = repo.Init(t.Context(), dir, s, o); err != nil {
			t.Fatal(err)
		}
		after, err := repo.ReadRoot(dir)
		if err != nil || !bytes.Equal(before.Data, after.Data) {
			t.Errorf("another root, %v", err)
		}
		if again := repotest.Publish(t, r); again.Version <= p.Version {
			t.Errorf("version %d after %d", again.Version, p.Version)
		}
	})
	t.Run("without the targets key", func(t *testing.T) {
		repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
		for _, role := range []string{"root", "targets"} {
			if err := os.Remove(filepath.Join(keys, "repositories/test", role+".pem")); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(10 * 24 * time.Hour)
		if p, err := r.Publish(t.Context()); err != nil || !p.Changed || len(p.Warnings) != 0 {
			t.Errorf("renewal needs only the online keys: %+v, %v", p, err)
		}
		now = now.Add(200 * 24 * time.Hour)
		if p, err := r.Publish(t.Context()); err != nil || !p.Changed || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "targets") {
			t.Errorf("past half of the life of targets: %+v, %v", p, err)
		}
		if _, err := r.Add(t.Context(), "stable", repotest.Package(t, t.TempDir(), "bash-5.2.0-1", "x", nil, key)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "targets key") {
			t.Errorf("a package without the targets key: %v", err)
		}
	})
}

func packagers(keys ...*signing.PrivateKey) []*signing.PublicKey {
	var public []*signing.PublicKey
	for _, k := range keys {
		public = append(public, k.Public())
	}
	return public
}
