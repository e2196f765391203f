package kmod

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ashlar/pkgtool/fault"
)

// OpenSSL is the judge: it reads the signature as the kernel would.
func TestSignedModuleIsVerifiedByOpenSSL(t *testing.T) {
	dir := t.TempDir()
	key, made, err := Open(dir)
	if err != nil || !made {
		t.Fatalf("made %v: %v", made, err)
	}
	module := bytes.Repeat([]byte("\x7fELF module"), 1000)
	signed, err := key.Sign(module)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(signed, module) || !Signed(signed) || Signed(module) {
		t.Fatal("the signature does not stand behind the module")
	}
	if added, err := key.Added(); err != nil || int64(len(signed)-len(module)) != added {
		t.Errorf("Added() = %d, %v; it was %d", added, err, len(signed)-len(module))
	}
	trailer := signed[len(signed)-len(magic)-trailerSize:]
	size := int(binary.BigEndian.Uint32(trailer[8:12]))
	files := map[string][]byte{"module": module, "signature": signed[len(module) : len(module)+size], "certificate": key.Certificate()}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	verify := func() ([]byte, error) {
		cmd := exec.Command("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "module",
			"-certfile", "certificate", "-nointern", "-noverify", "-out", "content")
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	pem := exec.Command("openssl", "x509", "-inform", "DER", "-in", "certificate", "-out", "certificate")
	pem.Dir = dir
	if out, err := pem.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := verify(); err != nil {
		t.Fatalf("openssl refuses the signature: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "module"), append(module, 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(); err == nil {
		t.Errorf("openssl accepts a changed module:\n%s", out)
	}
}

func TestKeyIsKeptAndItsSignaturesAreEqual(t *testing.T) {
	dir := t.TempDir()
	key, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, made, err := Open(dir)
	if err != nil || made {
		t.Fatalf("made %v: %v", made, err)
	}
	module := []byte("module")
	first, _ := key.Sign(module)
	second, err := again.Sign(module)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two signatures differ: %v", err)
	}
	if got, err := again.Verify(first); err != nil || !bytes.Equal(got, module) {
		t.Errorf("Verify: %q, %v", got, err)
	}
	if _, err := key.Sign(first); !errors.Is(err, ErrSigned) {
		t.Errorf("signing twice: %v", err)
	}
	for i := 0; i < len(first); i += 7 {
		changed := bytes.Clone(first)
		changed[i] ^= 1
		if _, err := key.Verify(changed); err == nil {
			t.Fatalf("a signed module with another byte %d verifies", i)
		}
	}
	if err := os.Chmod(filepath.Join(dir, KeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(dir); fault.ClassOf(err) != fault.Security {
		t.Errorf("a key that others can read: %v", err)
	}
}
