package secureboot

import (
	"crypto"
	"crypto/x509"
	"fmt"

	"ashlar/signing/cms"
	"ashlar/signing/rsakey"
)

// Key is the owner's: its certificate is platform key, key exchange key and the
// first of db.
type Key struct{ key *rsakey.Key }

// Firmware everywhere knows RSA with 2048 bits and SHA-256; not all knows more.
var kind = rsakey.Kind{Name: "secureboot", Title: "Secure Boot", Bits: 2048, Signature: x509.SHA256WithRSA, CA: true}

// The files of a key in its folder.
const (
	KeyFile         = "secureboot.key"
	CertificateFile = "secureboot.der"
)

// Open reads the key in dir, or makes one there, which made reports. Keys that
// other users can read are refused (class fault.Security).
func Open(dir string) (key *Key, made bool, err error) {
	k, made, err := rsakey.Open(dir, kind)
	if err != nil {
		return nil, made, fmt.Errorf("key of Secure Boot: %w", err)
	}
	return &Key{k}, made, nil
}

// Certificate returns the certificate in DER.
func (k *Key) Certificate() []byte { return k.key.Certificate.Raw }

// signer writes signatures as UEFI wants them.
func (k *Key) signer() cms.Signer {
	return cms.Signer{Key: k.key, Hash: crypto.SHA256, Certificate: true, Parameters: true}
}
