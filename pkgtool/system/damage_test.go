package system

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"
)

// objectOf finds the object of an installed file.
func objectOf(t *testing.T, root, path string) string {
	t.Helper()
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	owners, err := s.ownersOf(s.Generation())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Installed() {
		m, err := s.Manifest(r)
		if err != nil {
			t.Fatal(err)
		}
		if f := m.File(path); f != nil {
			o, err := owners.object(entry{&member{manifest: m}, f, f})
			if err != nil {
				t.Fatal(err)
			}
			return filepath.Join(root, objectPath(o.Key()))
		}
	}
	t.Fatalf("%s is not installed", path)
	return ""
}

func problemsOf(t *testing.T, root string) (paths []string, problems []Problem) {
	t.Helper()
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	problems, err = s.Verify(t.Context(), VerifyOptions{Store: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	return paths, problems
}

func repair(t *testing.T, root string, packages ...*pkgfile.Package) error {
	t.Helper()
	_, problems := problemsOf(t, root)
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.PlanRepair(t.Context(), problems, packages)
	if err != nil {
		return err
	}
	return p.Commit(t.Context(), nil)
}

// A file that was written to in place damages its object and both trees: the
// package's content is needed.
func TestRepairFromPackage(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	install(t, root, tool("2.0.0", "one")) // both trees have usr/share/tool's content
	object := objectOf(t, root, "usr/bin/tool")
	if err := os.WriteFile(filepath.Join(root, "usr/bin/tool"), []byte("program bad"), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(root, "usr/share/tool/2.0.0"))
	paths, _ := problemsOf(t, root)
	rel, _ := filepath.Rel(root, object)
	if !slices.Equal(paths, []string{"usr/bin/tool", "usr/share/tool/2.0.0", rel}) {
		t.Fatalf("found %v", paths)
	}
	if err := repair(t, root); err == nil || !strings.Contains(err.Error(), "not in the store any more") {
		t.Fatalf("without the package: %v", err)
	}
	if err := repair(t, root, build(t, tool("2.0.0", "one"))); err != nil {
		t.Fatal(err)
	}
	if paths, problems := problemsOf(t, root); len(paths) > 0 {
		t.Errorf("afterwards: %+v", problems)
	}
	// The other tree shared the damaged file.
	rolledBack(t, root, 1)
}

func TestRepairFromStore(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	for _, path := range []string{"usr/bin/tool", "usr/bin/tool-1.0.0", "usr/share/tool/1.0.0", "bin"} {
		os.RemoveAll(filepath.Join(root, path))
	}
	put(t, root, "usr/share/tool/1.0.0", "replaced")
	os.Chmod(filepath.Join(root, "root"), 0o755)
	put(t, root, "etc/tool.conf", "mine")
	if err := repair(t, root); err != nil {
		t.Fatal(err)
	}
	paths, problems := problemsOf(t, root)
	if !slices.Equal(paths, []string{"etc/tool.conf"}) || !problems[0].Config {
		t.Errorf("afterwards: %+v", problems)
	}
	if got := content(t, root, savedDir+"/2/usr/share/tool/1.0.0"); got != "replaced" {
		t.Errorf("the replaced file is %q", got)
	}
}

func TestDamagedObjectIsTakenOut(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	object := objectOf(t, root, "usr/bin/tool")
	install(t, root, tool("2.0.0", "two"))
	install(t, root, tool("3.0.0", "three"))
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(object)
	if err := os.WriteFile(object, bytes.Repeat([]byte("x"), len(data)), 0o644); err != nil {
		t.Fatal(err)
	}
	os.Chmod(object, 0o755|os.ModeSetuid)
	if paths, _ := problemsOf(t, root); len(paths) != 1 {
		t.Fatalf("found %v", paths)
	}
	if err := repair(t, root); err != nil {
		t.Fatal(err)
	}
	if _, err := rollback(t.Context(), root, 1); err == nil || !strings.Contains(err.Error(), "install tool from a repository") {
		t.Errorf("rollback to what is lost: %v", err)
	}
	install(t, root, tool("1.0.0", "one"))
	verified(t, root)
}

func TestDamagedRecords(t *testing.T) {
	flip := func(t *testing.T, path string) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	prepared := func(t *testing.T) string {
		root := t.TempDir()
		install(t, root, base, tool("1.0.0", "one"))
		install(t, root, tool("2.0.0", "two"))
		return root
	}
	for _, name := range []string{"paths", "folders"} {
		for what, damage := range map[string]func(*testing.T, string){
			"flipped": flip, "missing": func(_ *testing.T, path string) { os.Remove(path) }, "empty": func(_ *testing.T, path string) { os.Truncate(path, 0) },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				root := prepared(t)
				damage(t, filepath.Join(root, generationDir(2), name))
				put(t, root, "usr/local/mine", "mine")
				_, err := commit(t.Context(), root, add(t, spec{"x", "1.0.0", "file usr/bin/tool 0755 x"}))
				if err == nil || !strings.Contains(err.Error(), "usr/bin/tool belongs to both") {
					t.Errorf("a conflict was not seen: %v", err)
				}
				p := install(t, root, tool("3.0.0", "three"))
				if len(p.Carried) != 1 {
					t.Errorf("carried %v", p.Carried)
				}
				if paths, problems := problemsOf(t, root); slices.Contains(paths, indexPath(3)) {
					t.Errorf("not made again: %+v", problems)
				}
			})
		}
	}
	t.Run("an old generation", func(t *testing.T) {
		root := prepared(t)
		os.Truncate(filepath.Join(root, generationPath(1)), 10)
		if paths, _ := problemsOf(t, root); !slices.Contains(paths, generationPath(1)) {
			t.Errorf("found %v", paths)
		}
		if _, err := rollback(t.Context(), root, 1); err == nil {
			t.Error("rolled back to a damaged generation")
		}
		install(t, root, tool("3.0.0", "three"))
		verified(t, root)
	})
	t.Run("the current generation", func(t *testing.T) {
		root := prepared(t)
		path := filepath.Join(root, generationPath(2))
		data, _ := os.ReadFile(path)
		if err := os.WriteFile(path, bytes.Replace(data, []byte(`"tool"`), []byte(`"fool"`), 1), 0o644); err != nil {
			t.Fatal(err)
		}
		if paths, _ := problemsOf(t, root); !slices.Contains(paths, identityPath) {
			t.Errorf("found %v", paths)
		}
	})
	t.Run("the journal", func(t *testing.T) {
		root := prepared(t)
		path := filepath.Join(root, journalPath)
		j := &journal{Format: formatVersion, From: 2, To: 3}
		data, err := j.encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		flip(t, path)
		if _, err := Open(root); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Fatalf("got %v", err)
		}
		os.Remove(path)
		verified(t, root)
	})
	t.Run("a manifest", func(t *testing.T) {
		root := prepared(t)
		pkg := build(t, tool("2.0.0", "two"))
		flip(t, filepath.Join(root, manifestPath(pkg.ManifestSHA256())))
		if paths, _ := problemsOf(t, root); !slices.Contains(paths, manifestPath(pkg.ManifestSHA256())) {
			t.Errorf("found %v", paths)
		}
		if err := repair(t, root, pkg); err != nil {
			t.Fatal(err)
		}
		verified(t, root)
	})
}

func TestPrune(t *testing.T) {
	root := t.TempDir()
	install(t, root, base)
	versions := []string{"1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0", "6.0.0", "7.0.0"}
	for _, v := range versions {
		install(t, root, tool(v, "text "+v))
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Pin(3, true); err != nil {
		t.Fatal(err)
	}
	told, err := s.Prune(t.Context(), Policy{Keep: 2, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	before := countObjects(t, root)
	done, err := s.Prune(t.Context(), Policy{Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{1, 2, 4, 5, 6}; !slices.Equal(done.Generations, want) || !slices.Equal(told.Generations, want) {
		t.Errorf("told %v, done %v, want %v", told.Generations, done.Generations, want)
	}
	if done.Objects == 0 || done.Objects != told.Objects || before-countObjects(t, root) != done.Objects {
		t.Errorf("told %d objects, done %d, gone %d", told.Objects, done.Objects, before-countObjects(t, root))
	}
	history, err := s.History()
	if err != nil || len(history) != 3 {
		t.Fatalf("history %v, %v", history, err)
	}
	s.Close()
	checkStore(t, root)
	rolledBack(t, root, 3)
	install(t, root, tool("8.0.0", "eight"))
	verified(t, root)
	if s, err = Open(root); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Pin(3, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(t.Context(), Policy{Keep: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin(3, true); err == nil {
		t.Error("pinned what is gone")
	}
	s.Close()
	install(t, root, tool("9.0.0", "nine")) // without a spare tree
	verified(t, root)
	checkStore(t, root)
}

func countObjects(t *testing.T, root string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, stateDir, "store/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// checkStore proves that the store has exactly what generations refer to, as
// far as no image had it, and nothing else.
func checkStore(t failer, root string) {
	t.Helper()
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.store == nil {
		return
	}
	if open, err := s.store.Interrupted(); err != nil || open {
		t.Fatalf("the store is open: %v", err)
	}
	history, err := s.History()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := s.objectsOf(history)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]*store.Object{}
	for _, o := range objects {
		used[filepath.Join(root, objectPath(o.Key()))] = o
	}
	names, err := filepath.Glob(filepath.Join(root, stateDir, "store/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if used[name] == nil {
			t.Fatalf("%s is of no generation", name)
		}
		if err := s.store.Check(t.Context(), used[name]); err != nil {
			t.Fatal(err)
		}
	}
}
