package pkgfile

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ashlar/signing"
)

func manifest() Manifest {
	return Manifest{
		Name: "demo", Version: "1.2.3", Release: 4, Arch: "x86_64", Upstream: "1.2p3",
		Summary: "A demonstration", License: "MIT", Recipe: "demo",
		Requires:   []string{"soname(libc.so.6)", "bash"},
		Provides:   []string{"cmd(demo)"},
		Provenance: Provenance{Origin: "source", Epoch: 1767225600},
	}
}

func file(path, content string) Input {
	return Input{File: File{Path: path, Type: TypeFile, Mode: 0o644, Owner: "root", Group: "root"},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

func dir(path string) Input {
	return Input{File: File{Path: path, Type: TypeDir, Mode: 0o755, Owner: "root", Group: "root"}}
}

func symlink(path, target string) Input {
	return Input{File: File{Path: path, Type: TypeSymlink, Mode: 0o777, Owner: "root", Group: "root", Target: target}}
}

func hardlink(path, target string) Input {
	return Input{File: File{Path: path, Type: TypeHardlink, Target: target}}
}

// noise is content that does not compress, the same for the same seed.
func noise(seed uint64, size int) string {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, size)
	r.Read(b)
	return string(b)
}

// zoo has every kind of file and every way of framing.
func zoo() []Input {
	inputs := []Input{
		dir("usr"), dir("usr/bin"), file("usr/bin/demo", "#!/bin/sh\n"), symlink("usr/bin/d", "demo"),
		hardlink("usr/bin/again", "usr/bin/demo"), dir("etc"), file("etc/demo.conf", "a=b\n"), file("usr/empty", ""),
		file("usr/half", noise(1, 512)), file("usr/big", noise(2, 3<<20)), file("usr/huge", noise(3, 9<<20+77)),
		file("usr/exact", noise(4, 8<<20-512)), file("usr/"+strings.Repeat("long/", 30)+"name", "x"),
		file("usr/Főtanúsítvány", "y"), symlink("usr/l", strings.Repeat("t/", 80)+"z"),
	}
	for i := range 300 {
		inputs = append(inputs, file("usr/small/"+string(rune('a'+i%26))+strings.Repeat("s", i/26), noise(uint64(i), 7000+i)))
	}
	suid := file("usr/bin/su", "elf")
	suid.Mode = 0o4755
	suid.Group = "wheel"
	capable := file("usr/bin/ping", "elf")
	capable.Xattrs = map[string][]byte{"security.capability": {1, 0, 0, 2, 0, '\n', 0xff}, "user.note": []byte("n")}
	conf := &inputs[6]
	conf.Config = true
	return append(inputs, suid, capable)
}

func write(t testing.TB, m Manifest, inputs []Input, opts Options) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := Write(context.Background(), &out, m, inputs, opts); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(t testing.TB, b []byte) *Package {
	t.Helper()
	p, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func key(t testing.TB) *signing.PrivateKey {
	t.Helper()
	k, err := signing.Generate("Test", "", time.Unix(1767225600, 0))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	inputs := zoo()
	contents := map[string]string{}
	for _, in := range inputs {
		if in.Type == TypeFile {
			r, _ := in.Open()
			b, _ := io.ReadAll(r)
			contents[in.Path] = string(b)
		}
	}
	contents["usr/bin/again"] = contents["usr/bin/demo"] // the first name in path order becomes the file
	delete(contents, "usr/bin/demo")
	k := key(t)
	p := open(t, write(t, manifest(), inputs, Options{Signers: []*signing.PrivateKey{k}}))

	seen := 0
	err := p.Walk(context.Background(), func(f *File, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if f.Type == TypeFile {
			seen++
		}
		if string(b) != contents[f.Path] {
			t.Errorf("%s: %d bytes differ from %d", f.Path, len(b), len(contents[f.Path]))
		}
		return nil
	})
	if err != nil || seen != len(contents) || len(p.Manifest().Files) != len(inputs) {
		t.Fatalf("walk: %v, %d of %d files", err, seen, len(contents))
	}
	for path, want := range contents {
		r, err := p.OpenFrameFile(p.Manifest().File(path))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || string(b) != want {
			t.Errorf("%s: %v, %d bytes", path, err, len(b))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	link := p.Manifest().File("usr/bin/demo")
	if link.Type != TypeHardlink || link.Target != "usr/bin/again" {
		t.Errorf("link: %+v", link)
	}
	ring, err := signing.NewKeyring(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if signers, err := p.VerifySignature(ring, signing.Policy{}); err != nil || signers[0] != k.Fingerprint() {
		t.Errorf("signature: %v %v", signers, err)
	}
}
