package secureboot

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxVariable bounds a variable of the firmware, in bytes; real ones have less than
// a tenth.
const maxVariable = 1 << 20

// authHead is what is before the size of the signature in a .auth file: EFI_TIME.
const authHead = 16

// Certificates returns the certificates (DER) in a .auth file, as a medium has them
// for db. Sums of programs, which such lists may hold too, are left out. The
// signature is not checked.
func Certificates(auth []byte) (certificates [][]byte, err error) {
	if len(auth) > maxVariable {
		return nil, fmt.Errorf("%d bytes are no variable of a firmware", len(auth))
	}
	if len(auth) < authHead+4 {
		return nil, errors.New("it is cut off")
	}
	size := binary.LittleEndian.Uint32(auth[authHead:])
	if uint64(size) > uint64(len(auth)-authHead) {
		return nil, errors.New("its signature is cut off")
	}
	for rest := auth[authHead+int(size):]; len(rest) > 0; {
		const head = 28
		if len(rest) < head {
			return nil, errors.New("a list is cut off")
		}
		list, header, each := binary.LittleEndian.Uint32(rest[16:]), binary.LittleEndian.Uint32(rest[20:]), binary.LittleEndian.Uint32(rest[24:])
		if uint64(list) > uint64(len(rest)) || uint64(head)+uint64(header) > uint64(list) || each <= 16 {
			return nil, errors.New("the sizes of a list contradict each other")
		}
		kind, entries := rest[:16], rest[head+header:list]
		rest = rest[list:]
		if len(entries)%int(each) != 0 {
			return nil, errors.New("a list holds a part of an entry")
		}
		if !bytes.Equal(kind, guid(typeX509)) {
			continue
		}
		for ; len(entries) > 0; entries = entries[each:] {
			der := bytes.Clone(entries[16:each])
			if _, err := x509.ParseCertificate(der); err != nil {
				return nil, err
			}
			certificates = append(certificates, der)
		}
	}
	return certificates, nil
}

// CertificateName is a file name for a certificate (DER): a part of its sum.
func CertificateName(der []byte) (string, error) {
	if _, err := x509.ParseCertificate(der); err != nil {
		return "", fmt.Errorf("not a certificate: %w", err)
	}
	return fmt.Sprintf("%.8x.der", sha256.Sum256(der)), nil
}
