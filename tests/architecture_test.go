package tests

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// base packages know nothing of the rooms; every room may use them.
var base = []string{"pkgtool/fault", "pkgtool/durable", "pkgtool/strictyaml", "pkgtool/version", "pkgtool/mounts"}

// rooms lists, in the order in which data flows, each room and the rooms that
// it may import besides itself and base.
var rooms = []struct {
	path string
	may  []string
}{
	{"pkgtool/fault", nil},
	{"pkgtool/durable", nil},
	{"pkgtool/strictyaml", nil},
	{"pkgtool/version", nil},
	{"pkgtool/mounts", nil},
	{"pkgtool/diskkey", nil},
	{"signing", nil},
	{"kernel-config", nil},
	{"pkgtool/pkgfile", []string{"signing"}},
	{"pkgtool/abi", nil},
	{"pkgtool/sbom", []string{"signing", "pkgtool/pkgfile"}},
	{"pkgtool/build", []string{"signing", "pkgtool/pkgfile", "pkgtool/abi", "pkgtool/sbom", "kernel-config"}},
	{"repo", []string{"signing", "pkgtool/pkgfile"}},
	{"repo/web", []string{"signing", "pkgtool/pkgfile", "repo", "pkgtool/client/catalogue"}},
	{"pkgtool/client", []string{"signing", "pkgtool/pkgfile", "repo"}},
	{"pkgtool/solver", nil},
	{"pkgtool/system", []string{"signing", "pkgtool/pkgfile", "pkgtool/client", "pkgtool/solver", "pkgtool/build/sandbox"}},
	{"pkgtool/query", []string{"signing", "pkgtool/pkgfile", "pkgtool/sbom", "repo", "pkgtool/client", "pkgtool/solver", "pkgtool/system"}},
	{"pkgtool/loader", []string{"signing", "pkgtool/build/sandbox", "pkgtool/system", "iso/cpio", "iso/drivers", "iso/tree"}},
	{"pkgtool/install", []string{"signing", "pkgtool/pkgfile", "pkgtool/client", "pkgtool/solver", "pkgtool/system", "pkgtool/query"}},
	{"iso", []string{"signing", "pkgtool/pkgfile", "pkgtool/sbom", "pkgtool/system", "pkgtool/loader"}},
	{"pkgtool/autoupdate", []string{"pkgtool/pkgfile", "pkgtool/client", "pkgtool/solver", "pkgtool/system", "pkgtool/install"}},
	{"installer", []string{"signing", "pkgtool/pkgfile", "pkgtool/client", "pkgtool/solver", "pkgtool/system", "pkgtool/loader", "pkgtool/install", "pkgtool/diskkey", "iso"}},
	{"pkgtool/release", []string{"signing", "pkgtool/pkgfile", "pkgtool/build", "repo", "pkgtool/client", "pkgtool/solver", "pkgtool/system", "pkgtool/query", "pkgtool/install", "iso"}},
	{"tests/boot", nil},
	{"tests/bench", []string{"signing", "pkgtool/pkgfile", "pkgtool/build", "repo", "pkgtool/solver", "iso"}},
	{"tests/conformance", []string{"repo"}},
	{"tests/crash", nil},
	{"tests/hostile", nil},
	{"tests/recipes", nil},
	{"tests/attack", nil},
	{"tests/places", nil},
	{"tests/farm", nil},
	{"tests/sandbox", nil},
	{"tests/republish", []string{"signing", "pkgtool/pkgfile", "repo"}},
	{"tests/server", nil},
	{"pkgtool/cli", []string{"signing", "kernel-config", "pkgtool", "repo", "iso", "installer", "tests/boot"}},
	{"pkgtool/objects", []string{"pkgtool/cli", "pkgtool/build/sandbox", "repo/store/blob"}},
	{"pkgtool/farm", []string{"pkgtool/cli", "pkgtool/build"}},
	{"pkgtool", []string{"pkgtool/cli", "repo/store"}},
}

// TestRoomsImportOnlyWhatDataFlowAllows keeps the layout honest: a package's
// imports inside the module must be in the table above.
func TestRoomsImportOnlyWhatDataFlowAllows(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "build" && filepath.Dir(path) == ".." || strings.HasPrefix(d.Name(), ".") && path != ".." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
		if dir == "tests" || dir == "recipes" {
			return nil
		}
		room, may := roomOf(dir)
		if room == "" {
			t.Errorf("%s is in no room; add it to the table with what it may import", dir)
			return nil
		}
		seen[room] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			target, ours := strings.CutPrefix(imported, "ashlar/")
			if !ours || within(target, room) || anyWithin(target, base) && !within(room, target) || anyWithin(target, may) {
				continue
			}
			t.Errorf("%s imports %s; room %s may import %v", path, imported, room, may)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms {
		if !seen[r.path] {
			t.Errorf("room %s has no Go file; the table is out of date", r.path)
		}
	}
}

// roomOf returns the most precise room that holds a folder.
func roomOf(dir string) (string, []string) {
	best, may := "", []string(nil)
	for _, r := range rooms {
		if within(dir, r.path) && len(r.path) > len(best) {
			best, may = r.path, r.may
		}
	}
	if best == "pkgtool" && dir != "pkgtool" {
		return "", nil
	}
	return best, may
}

func within(path, room string) bool {
	return path == room || strings.HasPrefix(path, room+"/")
}

func anyWithin(path string, rooms []string) bool {
	for _, r := range rooms {
		if within(path, r) {
			return true
		}
	}
	return false
}
