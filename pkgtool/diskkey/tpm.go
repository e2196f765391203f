package diskkey

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"ashlar/pkgtool/fault"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// Device is the TPM as Linux shares it among programs.
const Device = "/dev/tpmrm0"

// KernelParameter has live-init try the TPM before it asks for a passphrase, as it
// has systemd's programs do.
const KernelParameter = "rd.luks.options=tpm2-device=auto"

// DefaultPCRs are the registers that a key is bound to when nobody says
// otherwise.
var DefaultPCRs = []int{7}

// PCRs that a key can be bound to: 0 to MaxPCR.
const MaxPCR = 23

// Present says whether this machine has a TPM 2.0 that its kernel knows.
func Present() error {
	_, err := os.Stat(Device)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Mark(errors.New("this machine has no TPM 2.0, or its firmware hides it ("+Device+" is not there)"), fault.Usage,
			"turn it on in the firmware's setup (often called security device, PTT or fTPM), or do without: the passphrase opens the disk")
	}
	return err
}

// Open opens the machine's TPM.
func Open() (transport.TPMCloser, error) {
	if err := Present(); err != nil {
		return nil, err
	}
	return linuxtpm.Open(Device)
}

// keySize is that of the random key, in bytes.
const keySize = 32

// Seal makes a random key and has the TPM seal it under what the registers hold
// now. It returns what opens the volume, to be added as a passphrase, and the
// token to be kept beside it, without the number of its key slot.
func Seal(tpm transport.TPM, pcrs []int) (passphrase []byte, t *Token, err error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, nil, err
	}
	defer clear(key)
	t = &Token{PCRs: pcrs, Bank: bank, Primary: primaryECC}
	if err := t.check(); err != nil {
		return nil, nil, err
	}
	if err := measured(tpm, pcrs); err != nil {
		return nil, nil, err
	}
	if t.Policy, err = policy(tpm, pcrs); err != nil {
		return nil, nil, err
	}
	parent, err := primary(tpm, t.Primary)
	if err != nil {
		return nil, nil, err
	}
	defer flush(tpm, parent.handle)
	sealed, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: parent.handle, Name: parent.name, Auth: parent.session(true)},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: key}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true}, // the policy alone opens it
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: t.Policy},
		}),
	}.Execute(tpm)
	if err != nil {
		return nil, nil, fmt.Errorf("seal a key: %w", err)
	}
	t.Blob = append(tpm2.Marshal(sealed.OutPrivate), tpm2.Marshal(sealed.OutPublic)...)
	return encode(key), t, nil
}

// encode makes a passphrase of a key that can be typed, as systemd does.
func encode(key []byte) []byte { return base64.StdEncoding.AppendEncode(nil, key) }

// Unseal has the TPM open a token, and returns the volume's passphrase. The
// class is fault.Usage if the machine is not in the state that the key is bound
// to.
func Unseal(tpm transport.TPM, t *Token) (passphrase []byte, err error) {
	now, err := policy(tpm, t.PCRs)
	if err != nil {
		return nil, err
	}
	if string(now) != string(t.Policy) {
		return nil, fault.Mark(fmt.Errorf("the machine is not in the state that the disk's key is bound to: PCR %s holds something else", t.registers()), fault.Usage,
			"if Secure Boot or the firmware was changed on purpose, type the passphrase, and then run: pkgtool diskkey enroll")
	}
	private, rest, err := cut[tpm2.TPM2BPrivate](t.Blob)
	if err != nil {
		return nil, fmt.Errorf("sealed key: %w", err)
	}
	public, _, err := cut[tpm2.TPM2BPublic](rest)
	if err != nil {
		return nil, fmt.Errorf("sealed key: %w", err)
	}
	parent, err := primary(tpm, t.Primary)
	if err != nil {
		return nil, err
	}
	defer flush(tpm, parent.handle)
	object, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: parent.handle, Name: parent.name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    *private, InPublic: *public,
	}.Execute(tpm)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("this TPM did not seal the disk's key, or was cleared since: %w", err), fault.Usage,
			"type the passphrase, and then run: pkgtool diskkey enroll")
	}
	defer flush(tpm, object.ObjectHandle)
	session, closeSession, err := tpm2.PolicySession(tpm, tpm2.TPMAlgSHA256, nonceSize)
	if err != nil {
		return nil, fmt.Errorf("begin a session with the TPM: %w", err)
	}
	defer closeSession()
	if _, err := (tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: selection(t.PCRs)}).Execute(tpm); err != nil {
		return nil, fmt.Errorf("bind the session to PCR %s: %w", t.registers(), err)
	}
	opened, err := tpm2.Unseal{
		ItemHandle: tpm2.AuthHandle{Handle: object.ObjectHandle, Name: object.Name, Auth: session},
	}.Execute(tpm, parent.session(false))
	if err != nil {
		return nil, fmt.Errorf("unseal the disk's key: %w", err)
	}
	defer clear(opened.OutData.Buffer)
	return encode(opened.OutData.Buffer), nil
}

// cut takes a sized structure off the front.
func cut[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](b []byte) (*T, []byte, error) {
	if len(b) < 2 || len(b) < 2+int(b[0])<<8+int(b[1]) {
		return nil, nil, errors.New("it is cut off")
	}
	n := 2 + int(b[0])<<8 + int(b[1])
	v, err := tpm2.Unmarshal[T, P](b[:n])
	return v, b[n:], err
}

// nonceSize is that of sessions, in bytes.
const nonceSize = 16

// policy is what a session that saw the registers as they are now has.
func policy(tpm transport.TPM, pcrs []int) ([]byte, error) {
	trial, end, err := tpm2.PolicySession(tpm, tpm2.TPMAlgSHA256, nonceSize, tpm2.Trial())
	if err != nil {
		return nil, fmt.Errorf("begin a session with the TPM: %w", err)
	}
	defer end()
	if _, err := (tpm2.PolicyPCR{PolicySession: trial.Handle(), Pcrs: selection(pcrs)}).Execute(tpm); err != nil {
		return nil, fmt.Errorf("read the TPM's registers: %w", err)
	}
	digest, err := tpm2.PolicyGetDigest{PolicySession: trial.Handle()}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("read the TPM's registers: %w", err)
	}
	return digest.PolicyDigest.Buffer, nil
}

// measured refuses registers that the firmware has never written: a key bound to
// those alone is bound to nothing.
func measured(tpm transport.TPM, pcrs []int) error {
	for _, n := range pcrs {
		answer, err := tpm2.PCRRead{PCRSelectionIn: selection([]int{n})}.Execute(tpm)
		if err != nil {
			return fmt.Errorf("read the TPM's PCR %d: %w", n, err)
		}
		if d := answer.PCRValues.Digests; len(d) != 1 || len(bytes.Trim(d[0].Buffer, "\x00")) == 0 || len(bytes.Trim(d[0].Buffer, "\xff")) == 0 {
			return fault.Mark(fmt.Errorf("the firmware has written nothing to PCR %d (SHA-256) of the TPM, so a key bound to it would be bound to nothing", n), fault.Usage,
				"look in the firmware's setup for measured boot and its SHA-256 bank, or name other PCRs")
		}
	}
	return nil
}

func selection(pcrs []int) tpm2.TPMLPCRSelection {
	list := make([]uint, len(pcrs))
	for i, n := range pcrs {
		list[i] = uint(n)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(list...)}}}
}

// storageKey is a key that never leaves the TPM, and under which others are
// sealed. The TPM makes the same from the same template each time.
type storageKey struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

// session encrypts what the TPM gets, or else what it gives out, with a secret
// that only this key's TPM can learn.
func (k *storageKey) session(gets bool) tpm2.Session {
	encryption := tpm2.AESEncryption(128, tpm2.EncryptOut)
	if gets {
		encryption = tpm2.AESEncryption(128, tpm2.EncryptIn)
	}
	return tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, tpm2.Salted(k.handle, k.public), encryption)
}

// primary makes the key that systemd uses, which is not the one of the TCG's
// guidance: it has no noDA.
func primary(tpm transport.TPM, algorithm string) (*storageKey, error) {
	template := tpm2.ECCSRKTemplate
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	if algorithm == primaryRSA {
		template = tpm2.RSASRKTemplate
		template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	}
	template.ObjectAttributes.NoDA = false
	answer, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("make the TPM's storage key: %w", err)
	}
	public, err := answer.OutPublic.Contents()
	if err != nil {
		flush(tpm, answer.ObjectHandle)
		return nil, fmt.Errorf("make the TPM's storage key: %w", err)
	}
	return &storageKey{answer.ObjectHandle, answer.Name, *public}, nil
}

// flush frees a place of the TPM's few. The kernel does it too, when the device
// is closed.
func flush(tpm transport.TPM, handle tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: handle}.Execute(tpm)
}
