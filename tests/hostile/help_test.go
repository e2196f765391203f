package hostile

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// sort puts the members into the order that a manifest must have.
func (p *pkg) sort() *pkg {
	slices.SortFunc(p.members, func(a, b member) int { return strings.Compare(a.says["path"].(string), b.says["path"].(string)) })
	return p
}

// names lists everything below a root but our own records.
func names(t testing.TB, root string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == ".ashlar" || rel == "usr/lib/ashlar" {
			return fs.SkipDir
		}
		if entries, err := os.ReadDir(path); err == nil && rel == "usr/lib" && len(entries) == 1 && entries[0].Name() == "ashlar" {
			return fs.SkipDir
		}
		list = append(list, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}
