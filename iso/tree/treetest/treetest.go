// Package treetest helps the tests of the image writers: entries read from a
// folder of the host, a difficult tree, and a loop mount as the judge.
package treetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ashlar/iso/tree"

	"golang.org/x/sys/unix"
)

// FromDisk lists what is below dir, as it is on disk.
func FromDisk(t testing.TB, dir string) []tree.Entry {
	t.Helper()
	var entries []tree.Entry
	inodes := map[uint64]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(p, &st); err != nil {
			return err
		}
		e := tree.Entry{Path: rel, Perm: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, ModTime: st.Mtim.Sec}
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			e.Kind = tree.Dir
		case syscall.S_IFLNK:
			e.Kind = tree.Symlink
			e.Target, err = os.Readlink(p)
		case syscall.S_IFREG:
			if first, ok := inodes[st.Ino]; ok {
				e.Kind, e.Target = tree.HardLink, first
				break
			}
			inodes[st.Ino] = rel
			e.Size = st.Size
			e.Open = func() (io.ReadCloser, error) { return os.Open(p) }
		case syscall.S_IFCHR:
			e.Kind = tree.CharDevice
			e.Major, e.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
		case syscall.S_IFIFO:
			e.Kind = tree.FIFO
		default:
			return nil
		}
		entries = append(entries, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// Difficult is a tree with everything that breaks careless writers, the same
// at every call. Formats without devices or attributes leave those kinds out.
func Difficult(devices, xattrs bool) []tree.Entry {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	var entries []tree.Entry
	add := func(e tree.Entry) { e.ModTime = 1700000000; entries = append(entries, e) }
	file := func(path string, perm uint32, b []byte) {
		add(tree.Entry{Path: path, Perm: perm, Size: int64(len(b)), Open: tree.Bytes(b)})
	}
	add(tree.Entry{Path: ".", Kind: tree.Dir, Perm: 0o755})
	add(tree.Entry{Path: "etc", Kind: tree.Dir, Perm: 0o755})
	file("etc/empty", 0o644, nil)
	file("etc/one", 0o600, []byte("x"))
	file("etc/set-user-id", 0o4755, []byte("suid"))
	for i, n := range []int{4095, 4096, 4097, 131071, 131072, 131073, 400000} {
		file(fmt.Sprintf("sizes/text%d", i), 0o644, bytes.Repeat([]byte("the same again\n"), n/15+1)[:n])
		file(fmt.Sprintf("sizes/random%d", i), 0o644, random(n))
	}
	twin := random(200000)
	file("twins/a", 0o644, twin)
	file("twins/b", 0o600, twin)
	hole := append(append(random(131072), make([]byte, 131072*3)...), random(5)...)
	file("holes/middle", 0o644, hole)
	file("holes/only", 0o644, make([]byte, 131072*2))
	add(tree.Entry{Path: "links/hard", Kind: tree.HardLink, Target: "etc/one"})
	add(tree.Entry{Path: "links/zz-hard", Kind: tree.HardLink, Target: "twins/a"})
	add(tree.Entry{Path: "links/dangling", Kind: tree.Symlink, Perm: 0o777, Target: "/does/not/exist"})
	add(tree.Entry{Path: "links/up", Kind: tree.Symlink, Perm: 0o777, Target: "../etc/./one"})
	add(tree.Entry{Path: "links/long", Kind: tree.Symlink, Perm: 0o777, Target: strings.Repeat("long-target/", 33) + "end"})
	add(tree.Entry{Path: "owner", Kind: tree.Dir, Perm: 0o1777, UID: 1000, GID: 70000})
	add(tree.Entry{Path: "owner/big", Perm: 0o640, UID: 4000000000, GID: 5, Size: 1, Open: tree.Bytes([]byte("b"))})
	file("names/"+strings.Repeat("n", 255), 0o644, []byte("long name"))
	file("names/with space and ünïcode", 0o644, []byte("u"))
	for i := range 3000 {
		file(fmt.Sprintf("crowd/a-name-of-middling-length-%04d.conf", i), 0o644, fmt.Appendf(nil, "%d\n", i))
	}
	deep := strings.Repeat("deep/", 20)
	file(deep+"down", 0o644, []byte("down here"))
	if devices {
		add(tree.Entry{Path: "dev/console", Kind: tree.CharDevice, Perm: 0o600, Major: 5, Minor: 1})
		add(tree.Entry{Path: "dev/big", Kind: tree.BlockDevice, Perm: 0o660, Major: 259, Minor: 70000})
		add(tree.Entry{Path: "dev/fifo", Kind: tree.FIFO, Perm: 0o600})
	}
	if xattrs {
		add(tree.Entry{Path: "caps/ping", Perm: 0o755, Size: 4, Open: tree.Bytes([]byte("ping")), Xattrs: map[string][]byte{
			"security.capability": {1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "user.note": []byte("text")}})
		add(tree.Entry{Path: "caps/dir", Kind: tree.Dir, Perm: 0o755, Xattrs: map[string][]byte{"user.note": []byte("text")}})
	}
	return entries
}

// Compare checks that dir, a mounted or extracted image, holds exactly entries.
// Owners and devices are compared only when the test runs as root.
func Compare(t *testing.T, entries []tree.Entry, dir string) {
	t.Helper()
	want, err := tree.Of(entries)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	root := os.Geteuid() == 0
	for _, n := range want.Nodes {
		p := filepath.Join(dir, n.Path)
		var st syscall.Stat_t
		if err := syscall.Lstat(p, &st); err != nil {
			t.Errorf("%s: %v", n.Path, err)
			continue
		}
		seen++
		file := n
		if n.Link != nil {
			file = n.Link
		}
		bits := ^uint32(0)
		if !root {
			bits = ^uint32(0o7000) // tools set these bits for root only
		}
		if n.Path != "." && n.Kind != tree.Symlink && (st.Mode^file.Mode())&bits != 0 {
			t.Errorf("%s: mode %o, want %o", n.Path, st.Mode, file.Mode())
		}
		if root && n.Path != "." && (st.Uid != file.UID || st.Gid != file.GID) {
			t.Errorf("%s: owner %d:%d, want %d:%d", n.Path, st.Uid, st.Gid, file.UID, file.GID)
		}
		if n.Path != "." && file.ModTime != 0 && st.Mtim.Sec != file.ModTime {
			t.Errorf("%s: time %d, want %d", n.Path, st.Mtim.Sec, file.ModTime)
		}
		switch n.Kind {
		case tree.Symlink:
			if got, _ := os.Readlink(p); got != n.Target {
				t.Errorf("%s: link to %q, want %q", n.Path, got, n.Target)
			}
		case tree.File, tree.HardLink:
			if int(st.Nlink) != file.Links {
				t.Errorf("%s: %d links, want %d", n.Path, st.Nlink, file.Links)
			}
			compareContent(t, file, p)
		case tree.CharDevice, tree.BlockDevice:
			if unix.Major(st.Rdev) != n.Major || unix.Minor(st.Rdev) != n.Minor {
				t.Errorf("%s: device %d:%d, want %d:%d", n.Path, unix.Major(st.Rdev), unix.Minor(st.Rdev), n.Major, n.Minor)
			}
		}
		for name, value := range n.Xattrs {
			got := make([]byte, len(value)+1)
			size, err := unix.Lgetxattr(p, name, got)
			if root && (err != nil || !bytes.Equal(got[:size], value)) {
				t.Errorf("%s: xattr %s is %x (%v), want %x", n.Path, name, got[:max(size, 0)], err, value)
			}
		}
	}
	found := 0
	filepath.WalkDir(dir, func(string, fs.DirEntry, error) error { found++; return nil })
	if found != seen {
		t.Errorf("%d names found, want %d", found, seen)
	}
}

func compareContent(t *testing.T, n *tree.Node, p string) {
	t.Helper()
	r, err := n.Content()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := os.Open(p)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	want, got := sha256.New(), sha256.New()
	io.Copy(want, r)
	io.Copy(got, f)
	if !bytes.Equal(want.Sum(nil), got.Sum(nil)) {
		t.Errorf("%s: content differs", n.Path)
	}
}

// Mount mounts an image read-only at a temporary folder, or returns "" where
// that cannot be: only root may, with loop devices and a kernel that knows the
// format. So it is never the only judge.
func Mount(t *testing.T, kind, image string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Logf("not root: the kernel's own view of %s is not checked", kind)
		return ""
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Logf("no loop devices: the kernel's own view of %s is not checked", kind)
		return ""
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", kind, "-o", "ro,loop", image, dir).CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte("unknown filesystem type")) {
			t.Logf("this kernel has no %s: its own view is not checked", kind)
			return ""
		}
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	return dir
}

// Tool runs a reference tool and returns its output. A tool that is missing
// fails the test: the machine that tests must have the judges.
func Tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
