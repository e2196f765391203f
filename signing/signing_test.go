package signing

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func generate(t testing.TB) *PrivateKey {
	t.Helper()
	key, err := Generate("Test", "test@example.org", created)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ringOf(t testing.TB, keys ...*PublicKey) *Keyring {
	t.Helper()
	kr, err := NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return kr
}

func TestSignatureIsAFunctionOfKeyDataAndTime(t *testing.T) {
	key := generate(t)
	data := []byte("manifest")
	first, err := key.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := key.SignAt(data, created.Add(-time.Hour)) // raised to the key's creation
	if err != nil || !bytes.Equal(first, again) {
		t.Fatalf("differs: %v", err)
	}
	later, err := key.SignAt(data, created.Add(time.Hour))
	if err != nil || bytes.Equal(first, later) {
		t.Fatalf("time ignored: %v", err)
	}
	armored, err := key.ArmoredPrivate()
	if err != nil {
		t.Fatal(err)
	}
	reread, err := ParsePrivate(armored)
	if err != nil {
		t.Fatal(err)
	}
	third, err := reread.Sign(data)
	if err != nil || !bytes.Equal(first, third) {
		t.Fatalf("differs after a round trip of the key: %v", err)
	}
	signers, err := ringOf(t, key.Public()).Verify(data, [][]byte{first}, Policy{})
	if err != nil || len(signers) != 1 || signers[0] != key.Fingerprint() {
		t.Fatalf("%v %v", signers, err)
	}
}

// Go walks maps in random order; neither keys nor signatures may show it.
func TestSeveralUserIDsChangeNothing(t *testing.T) {
	e := entity(t, created)
	for _, name := range []string{"B", "A", "C", "D"} {
		must(t, e.AddUserId(name, "", "", config(created)))
	}
	raw, err := serialize(e, true)
	must(t, err)
	var first, sig []byte
	for range 10 {
		key, err := ParsePrivate(raw)
		must(t, err)
		s, err := key.Sign(data)
		must(t, err)
		if first == nil {
			first, sig = key.Public().Armored(), s
		}
		if !bytes.Equal(first, key.Public().Armored()) || !bytes.Equal(sig, s) {
			t.Fatal("differs")
		}
	}
}

func TestFutureIsNotSigned(t *testing.T) {
	if _, err := generate(t).SignAt(data, time.Now().Add(48*time.Hour)); err == nil || !strings.Contains(err.Error(), "in the future") {
		t.Fatalf("got %v", err)
	}
}

func TestGPGAcceptsOurSignature(t *testing.T) {
	key := generate(t)
	dir := t.TempDir()
	data := []byte("manifest\n")
	sig, err := key.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"data": data, "data.sig": sig, "key.asc": key.Public().Armored()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gpg := newGPG(t)
	gpg.run("--import", filepath.Join(dir, "key.asc"))
	out := gpg.run("--status-fd", "1", "--verify", filepath.Join(dir, "data.sig"), filepath.Join(dir, "data"))
	if !strings.Contains(out, "VALIDSIG "+key.Fingerprint()) {
		t.Fatalf("gpg says:\n%s", out)
	}
}

// gpg is the reference implementation with a home folder of its own.
type gpg struct {
	t    testing.TB
	home string
}

func newGPG(t testing.TB) *gpg {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Fatal("gpg is not installed, and it is the judge here; pkgtool/bootstrap.sh test installs it")
	}
	home, err := os.MkdirTemp("", "gpg") // a short path: gpg's socket lives in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	return &gpg{t, home}
}

func (g *gpg) run(args ...string) string {
	g.t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", g.home, "--batch", "--no-tty", "--trust-model", "always",
		"--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
