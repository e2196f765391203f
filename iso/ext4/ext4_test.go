package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/iso/tree"
	"ashlar/iso/tree/treetest"
)

var uuid = [16]byte{0xa5, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, 15}

func write(t testing.TB, entries []tree.Entry, size int64) string {
	t.Helper()
	fs, err := New(entries, Options{Size: size, Label: "root", UUID: uuid, Time: 1760000000})
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := fs.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(fs.Size()); err != nil {
		t.Fatal(err)
	}
	return p
}

// long attributes need a block of their own.
func withLongAttribute(entries []tree.Entry) []tree.Entry {
	return append(entries, tree.Entry{Path: "caps/long", Perm: 0o644, Size: 1, Open: tree.Bytes([]byte("l")), ModTime: 5e9,
		Xattrs: map[string][]byte{"user.long": bytes.Repeat([]byte("v"), 301), "user.b": []byte("b"), "security.selinux": []byte("a:b:c")}})
}

func TestCheckFindsNothing(t *testing.T) {
	entries := withLongAttribute(treetest.Difficult(true, true))
	for _, size := range []int64{MinSize, 100<<20 + 4711, 128 << 20, 300 << 20, 3 << 30, 70 << 30} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			p := write(t, entries, size)
			treetest.Tool(t, "e2fsck", "-f", "-n", p)
		})
	}
}

func TestKernelReadsIt(t *testing.T) {
	entries := withLongAttribute(treetest.Difficult(true, true))
	dir := treetest.Mount(t, "ext4", write(t, entries, 200<<20))
	treetest.Compare(t, withLostFound(entries, 1760000000), dir)
}

func TestSameBytes(t *testing.T) {
	entries := treetest.Difficult(true, true)
	first, err := os.ReadFile(write(t, entries, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	entries = append(entries[len(entries)/2:], entries[:len(entries)/2]...)
	second, err := os.ReadFile(write(t, entries, 64<<20))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("another order of entries gives other bytes (%v)", err)
	}
}

func TestNewRefuses(t *testing.T) {
	big := tree.Entry{Path: "big", Size: 1 << 30, Open: tree.Bytes(nil)}
	if _, err := New([]tree.Entry{big}, Options{Size: 64 << 20}); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "big") {
		t.Errorf("too much content: %v", err)
	}
	if _, err := New(nil, Options{Size: 1 << 20}); err == nil {
		t.Error("a file system of 1 MiB is taken")
	}
	acl := tree.Entry{Path: "acl", Kind: tree.Dir, Xattrs: map[string][]byte{"system.posix_acl_access": {2}}}
	if _, err := New([]tree.Entry{acl}, Options{Size: MinSize}); err == nil || !strings.Contains(err.Error(), "system.posix_acl_access") {
		t.Errorf("an access control list: %v", err)
	}
	var many []tree.Entry
	for i := range inodesPerGroup {
		many = append(many, tree.Entry{Path: fmt.Sprint(i), Perm: 0o644, Open: tree.Bytes(nil)})
	}
	if _, err := New(many, Options{Size: MinSize}); err == nil || !strings.Contains(err.Error(), "do not fit") {
		t.Errorf("too many files: %v", err)
	}
}

func TestNeededIsEnough(t *testing.T) {
	entries := treetest.Difficult(true, true)
	for _, free := range []int64{0, 100 << 20, 5 << 30} {
		fs, err := New(entries, Options{Size: Needed(entries, free)})
		if err != nil {
			t.Fatal(err)
		}
		left := int64(0)
		for _, g := range fs.groups {
			left += int64(g.free) * blockSize
		}
		if left < free || left > free+free/8+256<<20 {
			t.Errorf("asked for %d free bytes, got %d", free, left)
		}
	}
}
