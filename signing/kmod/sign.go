package kmod

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// magic ends a signed module (linux/module_signature.h).
const magic = "~Module signature appended~\n"

// trailer is struct module_signature of the kernel: it stands before the magic.
const trailerSize = 12

// typePKCS7 is PKEY_ID_PKCS7, the third byte of the trailer.
const typePKCS7 = 2

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidSHA512     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

// RFC 5652, sections 3 and 5, without the optional fields that nothing here has.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version          int
	DigestAlgorithms []pkix.AlgorithmIdentifier `asn1:"set"`
	Encapsulated     struct{ Type asn1.ObjectIdentifier }
	Signers          []signerInfo `asn1:"set"`
}

type signerInfo struct {
	Version            int
	Signer             issuerAndSerial
	DigestAlgorithm    pkix.AlgorithmIdentifier
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Signature          []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

// ErrSigned says that a module has a signature already.
var ErrSigned = errors.New("the module is signed already")

// Signed reports whether a module has a signature, of whomever.
func Signed(module []byte) bool { return bytes.HasSuffix(module, []byte(magic)) }

// Sign returns the module with the key's signature behind it.
func (k *Key) Sign(module []byte) ([]byte, error) {
	if Signed(module) {
		return nil, ErrSigned
	}
	sum := sha512.Sum512(module)
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA512, sum[:]) // deterministic
	if err != nil {
		return nil, err
	}
	digest := pkix.AlgorithmIdentifier{Algorithm: oidSHA512}
	content := signedData{Version: 1, DigestAlgorithms: []pkix.AlgorithmIdentifier{digest}}
	content.Encapsulated.Type = oidData
	content.Signers = []signerInfo{{
		Version: 1, Signer: issuerAndSerial{asn1.RawValue{FullBytes: k.certificate.RawIssuer}, k.certificate.SerialNumber},
		DigestAlgorithm:    digest,
		SignatureAlgorithm: pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue},
		Signature:          signature,
	}}
	der, err := asn1.Marshal(contentInfo{oidSignedData, content})
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
