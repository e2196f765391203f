package system

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// writeImage writes a tree as an image would hold it.
func writeImage(t *testing.T, root string, packages ...*pkgfile.Package) {
	t.Helper()
	nodes, err := Tree(packages, TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
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
			err = os.WriteFile(path, data, 0o600)
		}
		if err == nil && n.Type != pkgfile.TypeSymlink && n.Type != pkgfile.TypeHardlink {
			err = unix.Chmod(path, n.Mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes { // making what is inside changed the folders' times
		if n.Type == pkgfile.TypeHardlink {
			continue
		}
		times := []unix.Timespec{{Sec: n.Time}, {Sec: n.Time}}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root, n.Path), times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
}

// An image has no objects but those of configuration files. What a transaction
// takes away is adopted first, so that one can return to the image.
func TestImageIsUpgradedAndReturnedTo(t *testing.T) {
	root := t.TempDir()
	lots := spec{"lots", "1.0.0", "dir usr/share/lots 0755\n"}
	for i := range 50 {
		lots.files += fmt.Sprintf("file usr/share/lots/%d 0644 number %d\n", i, i)
	}
	writeImage(t, root, build(t, base), build(t, tool("1.0.0", "one")), build(t, lots))
	verified(t, root)
	image := outsideState(t, root)
	put(t, root, "usr/local/mine", "mine")
	put(t, root, "etc/tool.conf", "edited")

	p := install(t, root, tool("2.0.0", "two"))
	if p.InPlace || len(p.Carried) != 1 || len(p.Saved) != 0 {
		t.Errorf("plan %+v", p)
	}
	verifiedBut(t, root, "etc/tool.conf")
	install(t, root, tool("3.0.0", "three"))
	rolledBackWithEdits(t, root, 1)
	verifiedBut(t, root, "etc/tool.conf")
	os.RemoveAll(filepath.Join(root, "usr/local"))
	os.Remove(filepath.Join(root, "etc/tool.conf.new"))
	put(t, root, "etc/tool.conf", "setting one")
	os.Chtimes(filepath.Join(root, "etc/tool.conf"), time.Unix(1700000000, 0), time.Unix(1700000000, 0))
	if got := outsideState(t, root); got != image {
		t.Errorf("got\n%s\nwant\n%s", got, image)
	}
}

// verifiedBut is verified, except for an edited configuration file.
func verifiedBut(t *testing.T, root, config string) {
	t.Helper()
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	problems, err := s.Verify(t.Context(), VerifyOptions{Store: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if p.Path != config || !p.Config {
			t.Errorf("%+v", p)
		}
	}
}

// The base text of a configuration file is in the image, so its edits merge.
func TestEditedConfigurationOfAnImageIsMerged(t *testing.T) {
	root := t.TempDir()
	conf := func(version, first, last string) *pkgfile.Package {
		return build(t, spec{"p", version, "config etc/p.conf " + first + "|b|c|d|" + last + "\nfile usr/p 0644 " + version})
	}
	writeImage(t, root, conf("1.0.0", "one", "end"))
	put(t, root, "etc/p.conf", "one\nb\nc\nd\nmine")
	p, err := commit(t.Context(), root, Change{Add: []Addition{{Package: conf("2.0.0", "two", "end")}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, root, "etc/p.conf"); got != "two\nb\nc\nd\nmine" || len(p.Config) != 1 || !p.Config[0].Merged {
		t.Errorf("got %q, %+v", got, p.Config)
	}
}

// A system of format 1 has no store, no identity and folders of any time. The
// first transaction makes it one of format 2, and one can return.
func TestFormat1IsTakenOver(t *testing.T) {
	root := t.TempDir()
	writeImage(t, root, build(t, base), build(t, tool("1.0.0", "one")))
	path := filepath.Join(root, generationPath(1))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte(`"format":2`), []byte(`"format":1`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{identityPath, identityDir, indexPath(1), foldersPath(1), stateDir + "/store"} {
		if err := os.RemoveAll(filepath.Join(root, gone)); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(filepath.Join(root, "usr"), func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() {
			return os.Chtimes(path, time.Now(), time.Now())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, root, "usr/local/mine", "mine")
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if owners, err := s.Owners("usr/bin/tool"); err != nil || len(owners) != 1 || owners[0] != "tool" {
		t.Errorf("owners %v, %v", owners, err)
	}
	s.Close()
	p := install(t, root, tool("2.0.0", "two"))
	if p.InPlace || len(p.Saved) > 0 || len(p.Carried) != 1 {
		t.Errorf("in place %v, saved %v, carried %v", p.InPlace, p.Saved, p.Carried)
	}
	verified(t, root)
	rolledBack(t, root, 1)
	if content(t, root, "usr/local/mine") != "mine" || content(t, root, "usr/bin/tool") != "program one" {
		t.Error("something was lost")
	}
}

func TestUsersAreMadeBeforeTheirFiles(t *testing.T) {
	server := spec{"server", "1.0.0", "file usr/lib/sysusers.d/server.conf 0644 u server 470 \"A server\" /var/lib/server\nowned var/lib/server.state server"}
	names := spec{"names", "1.0.0", "config etc/passwd root:x:0:0:root:/root:/bin/sh\nconfig etc/group root:x:0:"}
	check := func(t *testing.T, root string) {
		if got := content(t, root, "etc/passwd"); !strings.Contains(got, "server:x:470:470:A server:/var/lib/server:") || !strings.HasPrefix(got, "root:x:0:0") {
			t.Errorf("etc/passwd is %q", got)
		}
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, "var/lib/server.state"), &st); err != nil || privileged && st.Uid != 470 {
			t.Errorf("the file belongs to %d, %v", st.Uid, err)
		}
	}
	t.Run("together", func(t *testing.T) {
		root := t.TempDir()
		p := install(t, root, names, server)
		check(t, root)
		// a trigger sees one of the two texts that were planned
		seen := map[string]int{}
		for _, f := range p.triggerFiles(root) {
			seen[f.Path]++
		}
		if seen["etc/passwd"] != 1 || seen["etc/group"] != 1 {
			t.Errorf("triggers see %v", seen)
		}
	})
	t.Run("later", func(t *testing.T) {
		root := t.TempDir()
		install(t, root, names)
		install(t, root, server)
		check(t, root)
		s, err := Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if g := s.Generation(); privileged && g.Users["server"] != 470 {
			t.Errorf("users %v", g.Users)
		}
	})
	t.Run("image", func(t *testing.T) {
		nodes, err := Tree([]*pkgfile.Package{build(t, names), build(t, server)}, TreeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if n.Path == "var/lib/server.state" && n.UID != 470 {
				t.Errorf("%+v", n)
			}
		}
	})
}
