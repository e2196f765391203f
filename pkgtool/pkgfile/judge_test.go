package pkgfile

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"ashlar/signing"

	"github.com/gowebpki/jcs"
	"github.com/klauspost/compress/zstd"
)

// Same input, same bytes: whatever the core count, the order of the inputs, the
// knowledge of sizes and what the encoder did before.
func TestOutputIsAFunctionOfTheInput(t *testing.T) {
	k := key(t)
	opts := Options{Signers: []*signing.PrivateKey{k}}
	want := write(t, manifest(), zoo(), opts)
	for _, procs := range []int{1, 2, 7} {
		old := runtime.GOMAXPROCS(procs)
		inputs := zoo()
		rand.New(rand.NewSource(int64(procs))).Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
		m := manifest()
		m.Requires = []string{"bash", "soname(libc.so.6)", "bash"}
		got := write(t, m, inputs, Options{Signers: opts.Signers, Jobs: procs})
		runtime.GOMAXPROCS(old)
		if !bytes.Equal(got, want) {
			t.Errorf("differs with %d cores and another order", procs)
		}
	}
}

// Each frame is what a fresh encoder makes of its content.
func TestFramesDoNotDependOnEachOther(t *testing.T) {
	b := write(t, manifest(), zoo(), Options{})
	p := open(t, b)
	for i, f := range p.manifest.Frames {
		content, err := p.readFrame(i)
		if err != nil {
			t.Fatal(err)
		}
		at := p.metaSize + f.Offset
		if !bytes.Equal(compress(t, zstdCodec{}, *content), b[at:at+f.Size]) {
			t.Errorf("frame %d differs", i)
		}
	}
}

func TestManifestIsCanonicalJSON(t *testing.T) {
	m := manifest()
	m.Summary = `<&> "quoted" \ é` + "\u00a0" + `語 😀`
	m.Description = "two\nlines\n"
	p := open(t, write(t, m, zoo(), Options{}))
	want, err := jcs.Transform(p.ManifestBytes())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, p.ManifestBytes()) {
		t.Fatalf("RFC 8785 says\n%.300s\nwe say\n%.300s", want, p.ManifestBytes())
	}
}

// tar is the judge: it must list and extract what we wrote.
func TestTarListsAndExtracts(t *testing.T) {
	for _, tool := range []string{"tar", "zstd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed, and it is the judge here; pkgtool/bootstrap.sh test installs it", tool)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "demo.ashlar")
	p := open(t, write(t, manifest(), zoo(), Options{Signers: []*signing.PrivateKey{key(t)}}))
	var again bytes.Buffer
	if err := Resign(&again, p); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, again.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("zstd", "-t", path).CombinedOutput(); err != nil {
		t.Fatalf("zstd -t: %v\n%s", err, out)
	}
	listing := run(t, "tar", "--zstd", "--full-time", "--utc", "--xattrs", "-tvf", path)
	squeezed := regexp.MustCompile(` +`).ReplaceAllString(listing, " ")
	for _, want := range []string{
		"-rwsr-xr-x root/wheel 3 2026-01-01 00:00:00 usr/bin/su\n", "hrw-r--r-- root/root 0 2026-01-01 00:00:00 usr/bin/demo link to usr/bin/again",
		"usr/bin/d -> demo", strings.Repeat("long/", 30) + "name", ".pkg/manifest.json",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("tar does not list %q:\n%.3000s", want, listing)
		}
	}
	if n := strings.Count(listing, "\n"); n != len(p.manifest.Files)+2 {
		t.Errorf("tar lists %d members, want %d", n, len(p.manifest.Files)+2)
	}
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "--zstd", "--no-same-owner", "-xf", path, "-C", out)
	err := p.Walk(context.Background(), func(f *File, r io.Reader) error {
		want, err := io.ReadAll(r)
		if err != nil || f.Type != TypeFile {
			return err
		}
		got, err := os.ReadFile(filepath.Join(out, f.Path))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("tar extracted %s differently: %v", f.Path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	return string(out)
}

// tar and gpg alone can tell who signed a package.
func TestGPGVerifiesAnExtractedPackage(t *testing.T) {
	for _, tool := range []string{"tar", "zstd", "gpg"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed, and it is the judge here; pkgtool/bootstrap.sh test installs it", tool)
		}
	}
	k := key(t)
	dir, err := os.MkdirTemp("", "gpg") // a short path: gpg's socket lives in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", dir, "--kill", "all").Run()
		os.RemoveAll(dir)
	})
	for name, content := range map[string][]byte{
		"demo.ashlar":  write(t, manifest(), zoo(), Options{Signers: []*signing.PrivateKey{k}}),
		"packager.asc": k.Public().Armored(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "tar", "--zstd", "-xf", filepath.Join(dir, "demo.ashlar"), "-C", dir, ".pkg")
	run(t, "gpg", "--homedir", dir, "--batch", "--import", filepath.Join(dir, "packager.asc"))
	status := run(t, "gpg", "--homedir", dir, "--batch", "--trust-model", "always", "--status-fd", "1",
		"--verify", filepath.Join(dir, ".pkg/sig", k.Fingerprint()), filepath.Join(dir, manifestMember))
	if !strings.Contains(status, "VALIDSIG "+k.Fingerprint()) {
		t.Fatalf("gpg says:\n%s", status)
	}
}

// Go's own tar reader agrees with the manifest on every header.
func TestArchiveTarAgrees(t *testing.T) {
	b := write(t, manifest(), zoo(), Options{})
	p := open(t, b)
	z, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r := tar.NewReader(z)
	if h, err := r.Next(); err != nil || h.Name != manifestMember {
		t.Fatalf("%v %v", h, err)
	}
	kinds := map[byte]string{tar.TypeReg: TypeFile, tar.TypeDir: TypeDir, tar.TypeSymlink: TypeSymlink, tar.TypeLink: TypeHardlink}
	for i := range p.manifest.Files {
		f := &p.manifest.Files[i]
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		attr := f
		if f.Type == TypeHardlink {
			attr = p.manifest.File(f.Target)
		}
		if strings.TrimSuffix(h.Name, "/") != f.Path || kinds[h.Typeflag] != f.Type || h.Size != f.Size || h.Linkname != f.Target ||
			uint32(h.Mode) != attr.Mode || h.Uname != attr.Owner || h.Gname != attr.Group || h.ModTime.Unix() != p.manifest.Provenance.Epoch {
			t.Errorf("%s: %+v", f.Path, h)
		}
		for name, value := range f.Xattrs {
			if h.PAXRecords["SCHILY.xattr."+name] != string(value) {
				t.Errorf("%s: xattr %s", f.Path, name)
			}
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatalf("after the last member: %v", err)
	}
}

func TestResignAddsASignatureOnly(t *testing.T) {
	first, second := key(t), key(t)
	p := open(t, write(t, manifest(), zoo(), Options{Signers: []*signing.PrivateKey{first}}))
	var out bytes.Buffer
	if err := Resign(&out, p, second); err != nil {
		t.Fatal(err)
	}
	again := open(t, out.Bytes())
	if again.ManifestSHA256() != p.ManifestSHA256() {
		t.Error("manifest changed")
	}
	if err := again.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	ring, err := signing.NewKeyring(first.Public(), second.Public())
	if err != nil {
		t.Fatal(err)
	}
	if signers, err := again.VerifySignature(ring, signing.Policy{Threshold: 2}); err != nil || len(signers) != 2 {
		t.Errorf("%v %v", signers, err)
	}
}

// The writer's memory does not grow with the package.
func TestWriterStreams(t *testing.T) {
	const size = 200 << 20
	inputs := []Input{{File: File{Path: "huge", Type: TypeFile, Mode: 0o644, Owner: "root", Group: "root", Size: size},
		Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.LimitReader(rand.New(rand.NewSource(1)), size)), nil
		}}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	counter := writerFunc(func(b []byte) (int, error) {
		runtime.ReadMemStats(&after)
		peak = max(peak, after.HeapInuse)
		return len(b), nil
	})
	if _, err := Write(context.Background(), counter, manifest(), inputs, Options{Level: 1, SpoolDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if grown := int64(peak) - int64(before.HeapInuse); grown > 120<<20 {
		t.Errorf("heap grew by %d MiB for a file of %d MiB", grown>>20, size>>20)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
