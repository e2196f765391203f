package secureboot

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What a medium says of its owner comes back out of it, and what efitools or
// sbsigntool write does, too.
func TestCertificatesOfAVariable(t *testing.T) {
	key, dir := made(t)
	another, _ := made(t)
	variables, err := key.Variables(another.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Certificates(variables[0].Auth)
	if err != nil || len(got) != 2 || !bytes.Equal(got[0], key.Certificate()) || !bytes.Equal(got[1], another.Certificate()) {
		t.Fatalf("%d certificates, %v", len(got), err)
	}
	if _, err := exec.LookPath("sbsiglist"); err == nil {
		run(t, dir, "sbsiglist", "--owner", key.owner().String(), "--type", "x509", "--output", "db.esl", CertificateFile)
		if list, err := os.ReadFile(filepath.Join(dir, "db.esl")); err != nil || !bytes.Equal(list, signatureList(key.owner(), key.Certificate())) {
			t.Error("sbsiglist writes another list")
		}
	}
	auth := variables[0].Auth
	for name, broken := range map[string][]byte{
		"empty": nil, "cut in the time": auth[:10], "cut in the signature": auth[:100], "cut in a list": auth[:len(auth)-1],
		"too large": make([]byte, maxVariable+1),
		"no certificate": func() []byte {
			b := bytes.Clone(auth)
			b[len(b)-len(another.Certificate())] ^= 0xff
			return b
		}(),
		"list without entries": func() []byte {
			b := bytes.Clone(auth)
			at := authHead + int(binary.LittleEndian.Uint32(b[authHead:]))
			binary.LittleEndian.PutUint32(b[at+24:], 0)
			return b
		}(),
	} {
		if got, err := Certificates(broken); err == nil {
			t.Errorf("%s: %d certificates", name, len(got))
		}
	}
}

func FuzzCertificates(f *testing.F) {
	key, _, err := Open(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	variables, err := key.Variables(key.Certificate())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(variables[0].Auth)
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, data []byte) {
		certificates, err := Certificates(data)
		if err != nil {
			return
		}
		for _, der := range certificates {
			if _, err := CertificateName(der); err != nil {
				t.Error(err)
			}
		}
	})
}
