package pkgfile

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/signing"
)

func compress(t testing.TB, kind codec, content []byte) []byte {
	t.Helper()
	c, err := kind.compressor(0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	b, err := c.compress(content)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The lengths found from the headers are those of the frames, for content of
// every shape of chunk.
func TestXZFrameLengths(t *testing.T) {
	for _, content := range []string{
		"x", strings.Repeat("a", 1<<20), noise(1, 1<<16), noise(2, 1<<20), strings.Repeat("ab", 1<<20) + noise(3, 200_000), noise(4, 511),
	} {
		frame := compress(t, xzCodec{}, []byte(content))
		size, length, err := frameLength(xzCodec{}, &sliceReader{b: append(bytes.Clone(frame), "more"...)}, maxCompressed(maxMeta))
		if err != nil || size != int64(len(content)) || length != int64(len(frame)) {
			t.Fatalf("%d bytes in %d: read as %d in %d, %v", len(content), len(frame), size, length, err)
		}
		if length > maxCompressed(size) {
			t.Errorf("%d bytes become %d, more than maxCompressed", size, length)
		}
		got := make([]byte, len(content))
		if err := decodeFrame(xzCodec{}, frame, got); err != nil || string(got) != content {
			t.Errorf("%d bytes come back as %d: %v", len(content), len(got), err)
		}
	}
}

// smallZoo is zoo with less noise: our xz writer needs about a second for each
// 2 MB of it.
func smallZoo() []Input {
	var inputs []Input
	for i, in := range zoo() {
		if i%8 == 0 || !strings.HasPrefix(in.Path, "usr/small/") && !slices.Contains([]string{"usr/big", "usr/huge", "usr/exact"}, in.Path) {
			inputs = append(inputs, in)
		}
	}
	return append(inputs, file("usr/repeats", strings.Repeat("long", 5<<18)+noise(3, 100_077)))
}

// GNU tar and xz are the judges of packages compressed with xz.
func TestTarExtractsXZ(t *testing.T) {
	for _, tool := range []string{"tar", "xz"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed, and it is the judge here; pkgtool/bootstrap.sh test installs it", tool)
		}
	}
	k := key(t)
	raw := write(t, manifest(), smallZoo(), Options{Compression: XZ, Signers: []*signing.PrivateKey{k}})
	if again := write(t, manifest(), smallZoo(), Options{Compression: XZ, Jobs: 1, Signers: []*signing.PrivateKey{k}}); !bytes.Equal(raw, again) {
		t.Error("not the same bytes with one core")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "demo.ashlar")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("xz", "--format=xz", "-t", "-S", ".ashlar", path).CombinedOutput(); err != nil {
		t.Fatalf("xz -t: %v\n%s", err, out)
	}
	p := open(t, raw)
	if p.Compression() != XZ {
		t.Errorf("compression %q", p.Compression())
	}
	listing := run(t, "tar", "-tJf", path)
	if n := strings.Count(listing, "\n"); n != len(p.manifest.Files)+2 {
		t.Errorf("tar lists %d members, want %d", n, len(p.manifest.Files)+2)
	}
	theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "--no-same-owner", "-xJf", path, "-C", theirs)
	if err := p.Extract(context.Background(), ours); err != nil {
		t.Fatal(err)
	}
	run(t, "diff", "-r", "--no-dereference", "--exclude=.pkg", theirs, ours)

	var signed bytes.Buffer
	if err := Resign(&signed, p, key(t)); err != nil {
		t.Fatal(err)
	}
	again := open(t, signed.Bytes())
	if again.Compression() != XZ || again.ManifestSHA256() != p.ManifestSHA256() || len(again.Signatures()) != 2 {
		t.Error("signing changed more than the signatures")
	}
	if err := again.Verify(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestCompressionIsChosenRightly(t *testing.T) {
	for _, opts := range []Options{{Compression: "gzip"}, {Compression: XZ, Level: 9}, {Level: 23}, {Level: -1}} {
		if _, err := Write(context.Background(), new(bytes.Buffer), manifest(), nil, opts); fault.ClassOf(err) != fault.Usage {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	// Frames of two kinds in one file are no package, though each is good.
	m, inputs := plain()
	a, b := open(t, write(t, m, inputs, Options{})), open(t, write(t, m, inputs, Options{Compression: XZ}))
	if err := open(t, assembleAs(t, xzCodec{}, a.raw, readData(t, a))).Verify(context.Background()); err == nil || !strings.Contains(err.Error(), "an xz stream that no package has") {
		t.Errorf("zstd behind xz: %v", err)
	}
	if err := open(t, assembleAs(t, zstdCodec{}, b.raw, readData(t, b))).Verify(context.Background()); err == nil || !strings.Contains(err.Error(), "not a zstd frame") {
		t.Errorf("xz behind zstd: %v", err)
	}
}

// Reading xz takes a dictionary and some frames per core, whatever the size.
func TestXZReaderStreams(t *testing.T) {
	raw := write(t, manifest(), []Input{file("huge", strings.Repeat("a", 100<<20))}, Options{Compression: XZ})
	p := open(t, raw)
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // what is no longer used does not count
	peak := watchHeap(t, func() {
		if err := p.Verify(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	if most := int64(30<<20) * int64(runtime.GOMAXPROCS(0)+1); peak > most {
		t.Errorf("heap grew by %d MiB, more than %d", peak>>20, most>>20)
	}
}
