// Package cms writes the signatures that kernels and UEFI firmware read: CMS
// (RFC 5652, before it PKCS #7) with RSA, one signer, no time.
//
// In: a key with its certificate, and what is to be signed. Out: DER. The same
// input gives the same bytes: nothing here reads a clock or random numbers.
package cms

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256 and SHA-512 must be there
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"

	"ashlar/signing/rsakey"
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidDigests       = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
)

// RFC 5652, sections 3 and 5, without the optional fields that nothing here has.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version          int
	DigestAlgorithms []pkix.AlgorithmIdentifier `asn1:"set"`
	Encapsulated     encapsulated
	Certificates     asn1.RawValue `asn1:"optional"`
	Signers          []signerInfo  `asn1:"set"`
}

type encapsulated struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"optional"`
}

type signerInfo struct {
	Version            int
	Signer             issuerAndSerial
	DigestAlgorithm    pkix.AlgorithmIdentifier
	Attributes         asn1.RawValue `asn1:"optional"`
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Signature          []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// Signer signs with a key.
type Signer struct {
	Key  *rsakey.Key
	Hash crypto.Hash // SHA256 or SHA512
	// Certificate puts the certificate into the signature: who verifies need not
	// have it, only trust it.
	Certificate bool
	// Bare leaves out the ContentInfo around the SignedData.
	Bare bool
	// Parameters writes NULL behind the name of the digest, as old readers expect.
	Parameters bool
}

// Detached signs content that lies elsewhere.
func (s Signer) Detached(content []byte) ([]byte, error) {
	return s.sign(encapsulated{Type: oidData}, asn1.RawValue{}, s.sum(content))
}

// Attached signs content, the DER of an object of the type named, and carries it
// along. The signature is over attributes that name type and sum.
func (s Signer) Attached(kind asn1.ObjectIdentifier, content []byte) ([]byte, error) {
	var inner asn1.RawValue
	if _, err := asn1.Unmarshal(content, &inner); err != nil {
		return nil, fmt.Errorf("content to be signed: %w", err)
	}
	// The sum is of the content without its own header (RFC 5652, 5.4).
	set, err := attributes(kind, s.sum(inner.Bytes))
	if err != nil {
		return nil, err
	}
	return s.sign(encapsulated{kind, explicit(content)}, explicitSet(set), s.sum(set))
}

func (s Signer) sum(content []byte) []byte {
	h := s.Hash.New()
	h.Write(content)
	return h.Sum(nil)
}

func (s Signer) sign(content encapsulated, attrs asn1.RawValue, sum []byte) ([]byte, error) {
	oid, ok := oidDigests[s.Hash]
	if !ok {
		return nil, fmt.Errorf("signatures with %v are not written", s.Hash)
	}
	signature, err := rsa.SignPKCS1v15(nil, s.Key.Private, s.Hash, sum) // deterministic
	if err != nil {
		return nil, err
	}
	digest := pkix.AlgorithmIdentifier{Algorithm: oid}
	if s.Parameters {
		digest.Parameters = asn1.NullRawValue
	}
	data := signedData{
		Version: 1, DigestAlgorithms: []pkix.AlgorithmIdentifier{digest}, Encapsulated: content,
		Signers: []signerInfo{{
			Version: 1, Signer: issuerAndSerial{asn1.RawValue{FullBytes: s.Key.Certificate.RawIssuer}, s.Key.Certificate.SerialNumber},
			DigestAlgorithm: digest, Attributes: attrs,
			SignatureAlgorithm: pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue},
			Signature:          signature,
		}}}
	if s.Certificate {
		data.Certificates = explicit(s.Key.Certificate.Raw)
	}
	if s.Bare {
		return asn1.Marshal(data)
	}
	return asn1.Marshal(contentInfo{oidSignedData, data})
}

// attributes returns the SET of what is signed in place of the content, in DER.
func attributes(kind asn1.ObjectIdentifier, sum []byte) ([]byte, error) {
	kindDER, err := asn1.Marshal(kind)
	if err != nil {
		return nil, err
	}
	sumDER, err := asn1.Marshal(sum)
	if err != nil {
		return nil, err
	}
	return asn1.MarshalWithParams([]attribute{
		{oidContentType, []asn1.RawValue{{FullBytes: kindDER}}},
		{oidMessageDigest, []asn1.RawValue{{FullBytes: sumDER}}},
	}, "set")
}

// explicit puts [0] around DER.
func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

// explicitSet puts [0] in place of a SET's tag, as attributes are written.
func explicitSet(set []byte) asn1.RawValue {
	var inner asn1.RawValue
	if _, err := asn1.Unmarshal(set, &inner); err != nil {
		return asn1.RawValue{}
	}
	return explicit(inner.Bytes)
}
