package remote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/signing"
)

// Result says which packages somebody made from the inputs that its key is made
// of. It holds nothing that two builders of the same packages could differ in,
// so that several can sign the same bytes.
type Result struct {
	Schema   int       `json:"schema"` // 1
	Key      string    `json:"key"`    // sha256 of everything the packages were made from
	Action   string    `json:"action"` // sha256 of what their build could see
	Recipe   string    `json:"recipe"`
	Packages []Package `json:"packages"`
}

// Package is one package of a result.
type Package struct {
	Name   string `json:"name"`
	File   string `json:"file"`   // name-version-release.arch.ashlar
	SHA256 string `json:"sha256"` // of the unsigned file
	Size   int64  `json:"size"`   // of it, in bytes
	Digest string `json:"digest"` // of what builds see of its files
}

// Blob is the package file.
func (p *Package) Blob() Blob { return Blob{p.SHA256, p.Size} }

// payloadType is that of a result in an envelope.
const payloadType = "application/vnd.ashlar.build.result.v1+json"

// envelope is a signed result: the JSON of a DSSE envelope (secure-systems-lab/
// dsse 1.0) with OpenPGP signatures over its pre-authentication encoding.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"` // fingerprint of the primary key
	Sig   []byte `json:"sig"`   // detached, binary
}

// signed is what is signed.
func (e *envelope) signed() []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload)
}

// Seal returns the entry of a result with a signature by key.
func Seal(r Result, key *signing.PrivateKey) ([]byte, error) {
	r.Schema = 1
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	e := envelope{PayloadType: payloadType, Payload: payload}
	if err := e.sign(key); err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

func (e *envelope) sign(key *signing.PrivateKey) error {
	sig, err := key.Sign(e.signed())
	if err != nil {
		return fmt.Errorf("sign a result: %w", err)
	}
	e.Signatures = append(e.Signatures, signature{key.Fingerprint(), sig})
	return nil
}

// maxSignatures bounds the work that an entry can make.
const maxSignatures = 100

// Unseal returns the result of an entry if enough keys of the keyring have
// signed it, and their fingerprints. Its errors are of class fault.Security.
func Unseal(entry []byte, allowed *signing.Keyring, threshold int) (*Result, []string, error) {
	e, err := parse(entry)
	if err != nil {
		return nil, nil, err
	}
	var sigs [][]byte
	for _, s := range e.Signatures {
		sigs = append(sigs, s.Sig)
	}
	signers, err := allowed.Verify(e.signed(), sigs, signing.Policy{Threshold: threshold})
	if err != nil {
		return nil, nil, fmt.Errorf("entry of the build cache: %w", err)
	}
	r, err := e.result()
	return r, signers, err
}

func parse(entry []byte) (*envelope, error) {
	var e envelope
	if err := json.Unmarshal(entry, &e); err != nil {
		return nil, fault.Errorf(fault.Security, "entry of the build cache: %w", err)
	}
	if e.PayloadType != payloadType || len(e.Signatures) > maxSignatures {
		return nil, fault.Errorf(fault.Security, "entry of the build cache: payload type %.80q with %d signatures", e.PayloadType, len(e.Signatures))
	}
	return &e, nil
}

func (e *envelope) result() (*Result, error) {
	var r Result
	d := json.NewDecoder(bytes.NewReader(e.Payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fault.Errorf(fault.Security, "entry of the build cache: %w", err)
	}
	if r.Schema != 1 {
		return nil, fault.Errorf(fault.Security, "entry of the build cache: schema %d is unknown", r.Schema)
	}
	for _, p := range r.Packages {
		if err := p.Blob().check(); err != nil {
			return nil, fmt.Errorf("entry of the build cache: package %.80q: %w", p.Name, err)
		}
	}
	return &r, nil
}

// AddSignature returns the entry with a further signature. It reports whether
// the entry changed.
func AddSignature(entry []byte, key *signing.PrivateKey) ([]byte, bool, error) {
	e, err := parse(entry)
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(e.Signatures, func(s signature) bool { return s.KeyID == key.Fingerprint() }) {
		return entry, false, nil
	}
	if err := e.sign(key); err != nil {
		return nil, false, err
	}
	data, err := json.Marshal(e)
	return data, true, err
}

// SamePayload reports whether two entries say the same, whoever signed them.
func SamePayload(a, b []byte) bool {
	x, errX := parse(a)
	y, errY := parse(b)
	return errX == nil && errY == nil && bytes.Equal(x.Payload, y.Payload)
}
