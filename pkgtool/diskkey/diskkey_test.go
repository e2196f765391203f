package diskkey

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

const secret = "open sesame, 1001"

// emulator starts swtpm, whose PCR 7 holds something, and returns it and its
// socket.
func emulator(t *testing.T) (transport.TPM, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm-") // short: a socket's name has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket,
		"--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "startup-clear,not-need-init")
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; pkgtool/bootstrap.sh test installs it", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var tpm transport.TPMCloser
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if tpm, err = linuxudstpm.Open(socket); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { tpm.Close() })
	extend(t, tpm, 7, "as it was")
	return tpm, socket
}

func extend(t *testing.T, tpm transport.TPM, pcr int, what string) {
	t.Helper()
	sum := sha256.Sum256([]byte(what))
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: sum[:]}}},
	}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
}

// volume makes an encrypted file that opens with secret.
func volume(t *testing.T) Volume {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 24<<20); err != nil {
		t.Fatal(err)
	}
	v := Volume{file, Program("cryptsetup")}
	if _, err := v.Cryptsetup(t.Context(), []byte(secret), "luksFormat", "--batch-mode", "--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "--key-file=-", file); err != nil {
		t.Fatal(err)
	}
	return v
}

// opens says whether a passphrase opens a volume.
func opens(t *testing.T, v Volume, passphrase []byte) bool {
	t.Helper()
	_, err := v.Cryptsetup(t.Context(), passphrase, "open", "--test-passphrase", "--key-file=-", v.Device)
	return err == nil
}

// What the TPM gives out opens the volume, while the machine is in the state of
// the enrolment and with the TPM of the enrolment.
func TestEnroll(t *testing.T) {
	tpm, _ := emulator(t)
	v := volume(t)
	if _, err := v.Passphrase(t.Context(), tpm); err == nil || !strings.Contains(err.Error(), "holds no key") {
		t.Errorf("before the enrolment: %v", err)
	}
	if _, err := v.Wipe(t.Context()); err != nil {
		t.Error(err)
	}
	first, err := v.Enroll(t.Context(), tpm, []byte(secret), DefaultPCRs)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Passphrase(t.Context(), tpm); err != nil || !opens(t, v, got) {
		t.Fatalf("%q does not open the volume: %v", got, err)
	}
	if _, err := v.Enroll(t.Context(), tpm, []byte("wrong"), DefaultPCRs); err == nil {
		t.Error("a wrong passphrase was taken")
	}
	other, _ := emulator(t)
	if _, err := v.Passphrase(t.Context(), other); err == nil || !strings.Contains(err.Error(), "did not seal") {
		t.Errorf("another TPM: %v", err)
	}
	extend(t, tpm, 7, "somebody turned Secure Boot off")
	if _, err := v.Passphrase(t.Context(), tpm); err == nil || !strings.Contains(err.Error(), "PCR 7 holds something else") || fault.ClassOf(err) != fault.Usage {
		t.Errorf("another state: %v", err)
	}
	// A new enrolment takes the old one's place.
	second, err := v.Enroll(t.Context(), tpm, []byte(secret), DefaultPCRs)
	if err != nil {
		t.Fatal(err)
	}
	tokens, problems, err := v.Tokens(t.Context())
	if err != nil || len(problems) > 0 || len(tokens) != 1 || tokens[0].ID != second.ID || second.ID == first.ID {
		t.Fatalf("tokens %v, problems %v, %v", tokens, problems, err)
	}
	if got, err := v.Passphrase(t.Context(), tpm); err != nil || !opens(t, v, got) {
		t.Errorf("%q does not open the volume: %v", got, err)
	}
	m, err := v.read(t.Context())
	if err != nil || len(m.Slots) != 2 {
		t.Errorf("%d key slots are in use, %v", len(m.Slots), err)
	}
	if n, err := v.Wipe(t.Context()); n != 1 || err != nil {
		t.Errorf("wiped %d: %v", n, err)
	}
	if !opens(t, v, []byte(secret)) {
		t.Error("the passphrase is gone")
	}
}

// The last key stays.
func TestWipeLeavesOneKey(t *testing.T) {
	tpm, _ := emulator(t)
	v := volume(t)
	if _, err := v.Enroll(t.Context(), tpm, []byte(secret), DefaultPCRs); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Cryptsetup(t.Context(), nil, "luksKillSlot", "--batch-mode", v.Device, "0"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Wipe(t.Context()); err == nil || !strings.Contains(err.Error(), "no other key") {
		t.Errorf("wiped the last key: %v", err)
	}
}

// A register that nobody wrote binds nothing.
func TestUnwrittenRegister(t *testing.T) {
	tpm, _ := emulator(t)
	if _, _, err := Seal(tpm, []int{7, 11}); err == nil || !strings.Contains(err.Error(), "nothing to PCR 11") {
		t.Errorf("got %v", err)
	}
	if _, _, err := Seal(tpm, []int{24}); err == nil {
		t.Error("PCR 24 was taken")
	}
}

// What systemd-cryptenroll seals, we open.
func TestSystemdSeals(t *testing.T) {
	tpm, socket := emulator(t)
	v := volume(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-cryptenroll", "--unlock-key-file="+key, "--tpm2-device=swtpm:path="+socket, "--tpm2-pcrs=7", v.Device).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := v.Passphrase(t.Context(), tpm); err != nil || !opens(t, v, got) {
		t.Errorf("%q does not open the volume: %v", got, err)
	}
}

// What we seal, the TCG's own programs open.
func TestToolsOpenWhatWeSeal(t *testing.T) {
	tpm, socket := emulator(t)
	passphrase, token, err := Seal(tpm, DefaultPCRs)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	private, public, err := cutRaw(token.Blob)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"private": private, "public": public} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := `set -e
tpm2_createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -a 'restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth' -c primary
tpm2_flushcontext -t 2>/dev/null || true
tpm2_load -Q -C primary -r private -u public -c sealed
tpm2_flushcontext -t 2>/dev/null || true
tpm2_startauthsession --policy-session -S session
tpm2_policypcr -Q -S session -l sha256:7
tpm2_unseal -c sealed -p session:session | base64 -w0`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TPM2TOOLS_TCTI=swtpm:path="+socket)
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != string(passphrase) {
		t.Errorf("%v: %s; we have %s", err, out, passphrase)
	}
}

func cutRaw(blob []byte) (private, public []byte, err error) {
	_, rest, err := cut[tpm2.TPM2BPrivate](blob)
	return blob[:len(blob)-len(rest)], rest, err
}

// Any token is read or refused; what is read is written the same.
func FuzzToken(f *testing.F) {
	f.Add([]byte(`{"type":"systemd-tpm2","keyslots":["2"],"tpm2-blob":"AAAA","tpm2-pcrs":[7],"tpm2-pcr-bank":"sha256","tpm2-primary-alg":"ecc","tpm2-policy-hash":"8b56","tpm2-pin":false}`))
	f.Add([]byte(`{"type":"systemd-tpm2","keyslots":[],"tpm2-blob":"AAAA","tpm2-pcrs":[7,7],"tpm2-policy-hash":""}`))
	f.Add([]byte(`{"type":"luks2-keyring"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		token, err := decodeToken(3, raw)
		if err != nil || token == nil {
			return
		}
		_, _, _ = cut[tpm2.TPM2BPrivate](token.Blob)
		text, err := token.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeToken(3, text)
		if err != nil || !bytes.Equal(again.Blob, token.Blob) || FormatPCRs(again.PCRs) != FormatPCRs(token.PCRs) {
			t.Errorf("%s was read again as %v, %v", text, again, err)
		}
	})
}
