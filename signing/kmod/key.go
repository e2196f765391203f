package kmod

import (
	"crypto/x509"
	"fmt"

	"ashlar/signing/rsakey"
)

// Key signs modules.
type Key struct{ key *rsakey.Key }

// kind is of the size that kernels' own keys have.
var kind = rsakey.Kind{Name: "modules", Title: "kernel modules", Bits: 4096, Signature: x509.SHA512WithRSA}

// The files of a key in its folder. The certificate is DER, as mokutil and
// firmware take it.
const (
	KeyFile         = "modules.key"
	CertificateFile = "modules.der"
)

// Open reads the key in dir, or makes one there, which made reports. Keys that
// other users can read are refused (class fault.Security).
func Open(dir string) (key *Key, made bool, err error) {
	k, made, err := rsakey.Open(dir, kind)
	if err != nil {
		return nil, made, fmt.Errorf("key of kernel modules: %w", err)
	}
	return &Key{k}, made, nil
}

// Certificate returns the certificate in DER, for Secure Boot's db or mokutil.
func (k *Key) Certificate() []byte { return k.key.Certificate.Raw }
