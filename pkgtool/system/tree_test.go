package system

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// Installing into a folder and Tree must make the same tree.
func TestTreeIsWhatInstallMakes(t *testing.T) {
	root := t.TempDir()
	packages := []*pkgfile.Package{build(t, base), build(t, tool("1.0.0", "one"))}
	nodes, err := Tree(packages, TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	install(t, root, base, tool("1.0.0", "one"))
	onDisk := map[string]bool{}
	for line := range strings.Lines(snapshot(t, root)) {
		onDisk[strings.Fields(line)[0]] = true
	}
	last := ""
	for _, n := range nodes {
		if n.Path <= last {
			t.Errorf("%s after %s", n.Path, last)
		}
		last = n.Path
		if strings.HasPrefix(n.Path, stateDir+"/store") {
			continue // no part of the snapshot
		}
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, n.Path), &st); err == nil && inTree(n.Path) && st.Mtim.Sec != n.Time {
			t.Errorf("%s has the time %d in the tree and %d on disk", n.Path, n.Time, st.Mtim.Sec)
		}
		if !onDisk[n.Path] {
			t.Errorf("%s is in the tree only", n.Path)
		}
		delete(onDisk, n.Path)
		if n.Type != pkgfile.TypeFile || n.Path == generationPath(1) || n.Path == identityPath {
			continue
		}
		r, err := n.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(data) != content(t, root, n.Path) || int64(len(data)) != n.Size {
			t.Errorf("%s: content differs, %v", n.Path, err)
		}
	}
	for path := range onDisk {
		t.Errorf("%s is on disk only", path)
	}
}

func TestTreeKnowsWhatIsInstalled(t *testing.T) {
	nodes, err := Tree([]*pkgfile.Package{build(t, tool("1.0.0", "one")), build(t, base)}, TreeOptions{Repo: "main", Requested: []string{"tool"}})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, n := range nodes { // write the state as an image would hold it
		path := filepath.Join(root, n.Path)
		switch n.Type {
		case pkgfile.TypeDir:
			err = os.Mkdir(path, 0o755)
		case pkgfile.TypeSymlink:
			err = os.Symlink(n.Target, path)
		case pkgfile.TypeHardlink:
			err = os.Link(filepath.Join(root, n.Target), path)
		default:
			r, openErr := n.Open()
			if openErr != nil {
				t.Fatal(openErr)
			}
			data, _ := io.ReadAll(r)
			if err = os.WriteFile(path, data, 0o644); err == nil {
				err = os.Chmod(path, fs.FileMode(n.Mode&0o777))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	image, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if image.Package("filesystem").Requested || !image.Package("tool").Requested || image.Package("filesystem").Repo != "main" {
		t.Errorf("what was asked for and from where: %+v", image.Installed())
	}
	image.Close()
	install(t, root, tool("2.0.0", "two"))
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Generation().Number != 2 || len(s.Installed()) != 2 || s.Package("tool").Version.String() != "2.0.0-1" {
		t.Errorf("generation %+v", s.Generation())
	}
}
