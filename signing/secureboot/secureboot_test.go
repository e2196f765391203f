package secureboot

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
)

// made returns a key in a folder of its own, with its certificate in PEM.
func made(t *testing.T) (key *Key, dir string) {
	t.Helper()
	dir = t.TempDir()
	key, fresh, err := Open(dir)
	if err != nil || !fresh {
		t.Fatalf("made %v: %v", fresh, err)
	}
	again, fresh, err := Open(dir)
	if err != nil || fresh || !bytes.Equal(again.Certificate(), key.Certificate()) {
		t.Fatalf("opened again: made %v, %v", fresh, err)
	}
	run(t, dir, "openssl", "x509", "-inform", "DER", "-in", CertificateFile, "-out", "owner.pem")
	return key, dir
}

func run(t *testing.T, dir string, words ...string) string {
	t.Helper()
	out, err := try(dir, words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}

func try(dir string, words ...string) (string, error) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// program is a PE image that somebody else made: GRUB's or systemd's, as Debian
// has them, or the UEFI shell beside OVMF.
func program(t *testing.T) []byte {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/shim/*.efi*", "/usr/share/OVMF/*.efi", "/usr/lib/systemd/boot/efi/*.efi*"} {
		found, _ := filepath.Glob(pattern)
		for _, path := range found {
			if data, err := os.ReadFile(path); err == nil {
				return data
			}
		}
	}
	t.Fatal("no EFI program to try with; pkgtool/bootstrap.sh test installs shim-unsigned")
	return nil
}

// sbverify of sbsigntool is the judge of signatures that firmware reads.
func TestSignedImageIsVerified(t *testing.T) {
	key, dir := made(t)
	image := program(t)
	signed, err := key.SignPE(image)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := key.SignPE(image); err != nil || !bytes.Equal(again, signed) {
		t.Errorf("a second signature differs: %v", err)
	}
	write(t, dir, "signed.efi", signed)
	run(t, dir, "sbverify", "--cert", "owner.pem", "signed.efi")
	twice, err := key.SignPE(signed)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "twice.efi", twice)
	run(t, dir, "sbverify", "--cert", "owner.pem", "twice.efi")

	changed := bytes.Clone(signed)
	changed[len(image)/2] ^= 1
	write(t, dir, "changed.efi", changed)
	if out, err := try(dir, "sbverify", "--cert", "owner.pem", "changed.efi"); err == nil {
		t.Errorf("a changed image is accepted:\n%s", out)
	}
	_, other := made(t)
	write(t, other, "signed.efi", signed)
	if out, err := try(other, "sbverify", "--cert", "owner.pem", "signed.efi"); err == nil {
		t.Errorf("another's image is accepted:\n%s", out)
	}
}

func TestImagesThatCannotBeSigned(t *testing.T) {
	key, _ := made(t)
	image := program(t)
	for name, bad := range map[string][]byte{"empty": nil, "text": []byte(strings.Repeat("no program ", 40)), "header": image[:200], "far header": append([]byte("MZ"), bytes.Repeat([]byte{0xff}, 100)...)} {
		if _, err := key.SignPE(bad); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := key.IntoGRUB(image); err == nil {
		t.Error("an image without room for a key takes one")
	}
}

func FuzzSignPE(f *testing.F) {
	key, _, err := Open(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, image []byte) {
		signed, err := key.SignPE(image)
		if err == nil {
			if _, err := parsePE(signed); err != nil {
				t.Errorf("what was signed cannot be read: %v", err)
			}
		}
	})
}

// gpgv is the judge of what GRUB reads: it takes old packets too.
func TestSignedFileIsVerified(t *testing.T) {
	key, dir := made(t)
	text := []byte("menuentry\n")
	signature, err := key.SignFile(text, time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "text", text)
	write(t, dir, "text.sig", signature)
	// Debian's gpgv wants a certificate with a user id; sq and GRUB want none. The
	// signature alone is looked at with the key's numbers.
	out := run(t, dir, "gpg", "--list-packets", "--verbose", "text.sig")
	for _, want := range []string{"algo 1", "digest algo 8", "created 1700000000", "sigclass 0x00"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	write(t, dir, "key", key.PublicKey())
	if out := run(t, dir, "gpg", "--list-packets", "key"); !strings.Contains(out, ":public key packet:") || !strings.Contains(out, "pkey[0]: [2048 bits]") {
		t.Errorf("the key is read as\n%s", out)
	}
}

// What is enrolled is the signature that firmware checks: OpenSSL reads it.
func TestVariables(t *testing.T) {
	key, dir := made(t)
	variables, err := key.Variables(key.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range variables {
		names = append(names, v.Name)
		if !bytes.HasSuffix(v.Auth, v.List) {
			t.Errorf("%s does not end in its list", v.Name)
		}
	}
	if got := strings.Join(names, " "); got != "db KEK PK" {
		t.Errorf("the order is %s; with PK first nothing else could be written", got)
	}
	if one, two := len(variables[1].List), len(variables[0].List); two != 2*one {
		t.Errorf("db has %d bytes, KEK %d", two, one)
	}
	// efitools reads lists
	write(t, dir, "db.esl", variables[0].List)
	if out := run(t, dir, "sig-list-to-certs", "db.esl", "out"); strings.Count(out, "X509 Header") != 2 {
		t.Errorf("sig-list-to-certs reads\n%s", out)
	}
	der, err := os.ReadFile(filepath.Join(dir, "out-0.der"))
	if err != nil || !bytes.Equal(der, key.Certificate()) {
		t.Errorf("the first of db is another certificate: %v", err)
	}
}

// A machine's variables are written in one go and only in setup mode.
func TestEnroll(t *testing.T) {
	key, keys := made(t)
	variables, err := key.Variables()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variables {
		write(t, keys, v.Name+".auth", v.Auth)
	}
	machine := func(secure, setup byte) string {
		dir := t.TempDir()
		write(t, dir, "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", []byte{6, 0, 0, 0, secure})
		write(t, dir, "SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c", []byte{6, 0, 0, 0, setup})
		return dir
	}
	dir := machine(0, 1)
	if err := Enroll(dir, keys); err != nil {
		t.Fatal(err)
	}
	for _, v := range variables {
		got, err := os.ReadFile(variablePath(dir, v.Name, v.Vendor))
		if err != nil || !bytes.Equal(got, append([]byte{0x27, 0, 0, 0}, v.Auth...)) {
			t.Errorf("%s is not as written: %v", v.Name, err)
		}
	}
	for name, try := range map[string]func() error{
		"not UEFI":      func() error { return Enroll(filepath.Join(dir, "none"), keys) },
		"keys there":    func() error { return Enroll(machine(1, 0), keys) },
		"nothing there": func() error { return Enroll(machine(0, 1), t.TempDir()) },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: enrolled", name)
		}
	}
	if state, err := ReadState(machine(1, 0)); err != nil || !state.Enabled || state.SetupMode || !state.UEFI {
		t.Errorf("state %+v, %v", state, err)
	}
	if err := os.Chmod(filepath.Join(keys, KeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(keys); fault.ClassOf(err) != fault.Security {
		t.Errorf("a key for all to read: %v", err)
	}
}
