package kmod

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"

	"ashlar/signing/cms"
)

// magic ends a signed module (linux/module_signature.h).
const magic = "~Module signature appended~\n"

// trailer is struct module_signature of the kernel: it stands before the magic.
const trailerSize = 12

// typePKCS7 is PKEY_ID_PKCS7, the third byte of the trailer.
const typePKCS7 = 2

// ErrSigned says that a module has a signature already.
var ErrSigned = errors.New("the module is signed already")

// Signed reports whether a module has a signature, of whomever.
func Signed(module []byte) bool { return bytes.HasSuffix(module, []byte(magic)) }

// Sign returns the module with the key's signature behind it.
func (k *Key) Sign(module []byte) ([]byte, error) {
	if Signed(module) {
		return nil, ErrSigned
	}
	der, err := cms.Signer{Key: k.key, Hash: crypto.SHA512}.Detached(module)
	if err != nil {
		return nil, fmt.Errorf("write the signature of a module: %w", err)
	}
	out := make([]byte, 0, len(module)+len(der)+trailerSize+len(magic))
	out = append(append(out, module...), der...)
	out = append(out, 0, 0, typePKCS7, 0, 0, 0, 0, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(len(der)))
	return append(out, magic...), nil
}

// Added is how many bytes Sign adds to any module.
func (k *Key) Added() (int64, error) {
	signed, err := k.Sign(nil)
	return int64(len(signed)), err
}

// Verify returns the module without its signature, if that is of this key.
func (k *Key) Verify(signed []byte) ([]byte, error) {
	rest, ok := bytes.CutSuffix(signed, []byte(magic))
	if !ok || len(rest) < trailerSize {
		return nil, errors.New("the module has no signature")
	}
	trailer := rest[len(rest)-trailerSize:]
	rest = rest[:len(rest)-trailerSize]
	size := int64(binary.BigEndian.Uint32(trailer[8:]))
	if trailer[2] != typePKCS7 || size > int64(len(rest)) {
		return nil, errors.New("the module's signature is of another kind, or damaged")
	}
	module := rest[:int64(len(rest))-size]
	want, err := k.Sign(module)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(want, signed) { // deterministic, so equal is what valid means
		return nil, errors.New("the module's signature is not of this key, or the module was changed")
	}
	return module, nil
}
