package squashfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/iso/tree"
	"ashlar/iso/tree/treetest"
)

func write(t testing.TB, entries []tree.Entry, opt Options) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := Write(context.Background(), f, entries, opt)
	if err != nil {
		t.Fatal(err)
	}
	if st, _ := f.Stat(); st.Size() != size {
		t.Fatalf("Write says %d bytes, the file has %d", size, st.Size())
	}
	return f.Name()
}

func TestKernelAndUnsquashfsSeeTheTree(t *testing.T) {
	for _, opt := range []Options{{Workers: 2}, {Level: Best, BlockSize: 1 << 20}, {BlockSize: 4096}} {
		t.Run(fmt.Sprint(opt.BlockSize, opt.Level), func(t *testing.T) {
			entries := treetest.Difficult(true, true)
			image := write(t, entries, opt)
			if dir := treetest.Mount(t, "squashfs", image); dir != "" {
				treetest.Compare(t, entries, dir)
			}
			dir := filepath.Join(t.TempDir(), "out")
			if os.Geteuid() != 0 {
				entries = treetest.Difficult(false, false)
				image = write(t, entries, opt)
			}
			treetest.Tool(t, "unsquashfs", "-strict-errors", "-no-progress", "-d", dir, image)
			treetest.Compare(t, entries, dir)
		})
	}
}

func TestSameBytesForAnyNumberOfWorkers(t *testing.T) {
	var first []byte
	for _, workers := range []int{1, 2, 7} {
		b, err := os.ReadFile(write(t, treetest.Difficult(true, true), Options{Workers: workers}))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(b, first) {
			t.Errorf("%d workers give another image", workers)
		}
	}
}

func TestOrderOfEntriesDoesNotMatter(t *testing.T) {
	entries := treetest.Difficult(true, true)
	a, _ := os.ReadFile(write(t, entries, Options{}))
	for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
		entries[i], entries[j] = entries[j], entries[i]
	}
	b, _ := os.ReadFile(write(t, entries, Options{}))
	if !bytes.Equal(a, b) {
		t.Error("entries in reverse order give another image")
	}
}

func TestEqualDigestsAreReadAndStoredOnce(t *testing.T) {
	opened := 0
	content := bytes.Repeat([]byte{7, 1, 9, 200}, 100000)
	var entries []tree.Entry
	for i := range 20 {
		entries = append(entries, tree.Entry{Path: fmt.Sprint(i), Size: int64(len(content)), Digest: "same",
			Open: func() (io.ReadCloser, error) { opened++; return io.NopCloser(bytes.NewReader(content)), nil }})
	}
	image := write(t, entries, Options{})
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
	if dir := treetest.Mount(t, "squashfs", image); dir != "" {
		treetest.Compare(t, entries, dir)
	}
}

func TestWriteRefuses(t *testing.T) {
	file := func(path string, size int64, content string) tree.Entry {
		return tree.Entry{Path: path, Size: size, Open: tree.Bytes([]byte(content))}
	}
	broken := errors.New("disk on fire")
	for name, c := range map[string]struct {
		entries []tree.Entry
		opt     Options
		want    string
	}{
		"short content":  {[]tree.Entry{file("a", 5, "abc")}, Options{}, "shorter than announced"},
		"long content":   {[]tree.Entry{file("a", 2, "abc")}, Options{}, "longer than the 2 bytes"},
		"twice":          {[]tree.Entry{file("a", 1, "a"), file("a", 1, "a")}, Options{}, "a stands twice"},
		"below a file":   {[]tree.Entry{file("a", 1, "a"), file("a/b", 1, "a")}, Options{}, "not a folder"},
		"outside":        {[]tree.Entry{file("../a", 1, "a")}, Options{}, "not clean"},
		"absolute":       {[]tree.Entry{file("/a", 1, "a")}, Options{}, "not clean"},
		"lost hard link": {[]tree.Entry{{Path: "a", Kind: tree.HardLink, Target: "b"}}, Options{}, "not a file"},
		"block size":     {nil, Options{BlockSize: 5000}, "power of two"},
		"level":          {nil, Options{Level: "maximal"}, "unknown level"},
		"xattr":          {[]tree.Entry{{Path: "d", Kind: tree.Dir, Xattrs: map[string][]byte{"system.posix_acl_access": {1}}}}, Options{}, "cannot be stored"},
		"open fails": {[]tree.Entry{{Path: "a", Size: 1, Open: func() (io.ReadCloser, error) { return nil, broken }}},
			Options{}, "disk on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := os.Create(filepath.Join(t.TempDir(), "image"))
			defer f.Close()
			_, err := Write(context.Background(), f, c.entries, c.opt)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

type fullDisk struct{ room int64 }

var errFull = errors.New("no space left on device")

func (d *fullDisk) WriteAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > d.room {
		return 0, errFull
	}
	return len(b), nil
}

func TestFullDiskAndCancelEndTheWork(t *testing.T) {
	entries := treetest.Difficult(false, false)
	size, err := Write(context.Background(), &fullDisk{1 << 40}, entries, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int64{0, size / 2, size - padTo} {
		if _, err := Write(context.Background(), &fullDisk{room}, entries, Options{Workers: 2}); !errors.Is(err, errFull) {
			t.Errorf("room %d: error %v", room, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Write(ctx, &fullDisk{1 << 40}, entries, Options{Workers: 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// BenchmarkWrite packs the folder in ASHLAR_BENCH_TREE, or else the Go tool chain's
// library; its peer is mksquashfs -comp zstd -Xcompression-level 3.
func BenchmarkWrite(b *testing.B) {
	dir := os.Getenv("ASHLAR_BENCH_TREE")
	if dir == "" {
		dir = "/usr/share"
	}
	entries := treetest.FromDisk(b, dir)
	var total int64
	for _, e := range entries {
		total += e.Size
	}
	b.SetBytes(total)
	var size int64
	for b.Loop() {
		f, err := os.Create(filepath.Join(b.TempDir(), "image"))
		if err != nil {
			b.Fatal(err)
		}
		if size, err = Write(context.Background(), f, entries, Options{Workers: 2}); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	b.ReportMetric(float64(size), "image-bytes")
}

func FuzzReadInfo(f *testing.F) {
	f.Add(make([]byte, 96))
	f.Fuzz(func(t *testing.T, data []byte) {
		if i, err := ReadInfo(bytes.NewReader(data), int64(len(data))); err == nil && i.Used > int64(len(data)) {
			t.Errorf("%+v of %d bytes", i, len(data))
		}
	})
}
