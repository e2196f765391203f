package attest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"ashlar/pkgtool/fault"
	"ashlar/signing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// maxStatement bounds a document that is read, in bytes. A build of the kernel
// has 400 kB.
const maxStatement = 32 << 20

// Sign puts a statement into a DSSE envelope
// (https://github.com/secure-systems-lab/dsse), as one line of JSON. The
// signature is a detached OpenPGP signature over the pre-authentication encoding
// of the payload; the key's id is its fingerprint. Without a key the envelope
// has no signature and proves nothing.
func Sign(s *Statement, key *signing.PrivateKey) ([]byte, error) {
	payload, err := s.encode()
	if err != nil {
		return nil, err
	}
	e := &dsse.Envelope{PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(payload), Signatures: []dsse.Signature{}}
	if key != nil {
		sig, err := key.Sign(dsse.PAE(PayloadType, payload))
		if err != nil {
			return nil, err
		}
		e.Signatures = append(e.Signatures, dsse.Signature{KeyID: key.Fingerprint(), Sig: base64.StdEncoding.EncodeToString(sig)})
	}
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}

// Verify checks an envelope against a keyring and returns its statement and the
// fingerprints of the keys that signed it. Errors are of class fault.Security.
func Verify(_ context.Context, data []byte, keyring *signing.Keyring, policy signing.Policy) (*Statement, []string, error) {
	s, signers, err := verify(data, keyring, policy)
	if err != nil {
		return nil, nil, fault.Mark(fmt.Errorf("attestation: %w", err), fault.Security, "")
	}
	return s, signers, nil
}

func verify(data []byte, keyring *signing.Keyring, policy signing.Policy) (*Statement, []string, error) {
	if len(data) > maxStatement {
		return nil, nil, fmt.Errorf("larger than %d bytes", maxStatement)
	}
	var e dsse.Envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, nil, fmt.Errorf("not a DSSE envelope: %w", err)
	}
	if e.PayloadType != PayloadType {
		return nil, nil, fmt.Errorf("payload type %.80q is not %s", e.PayloadType, PayloadType)
	}
	payload, err := e.DecodeB64Payload()
	if err != nil {
		return nil, nil, err
	}
	var sigs [][]byte
	for _, s := range e.Signatures {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			return nil, nil, fmt.Errorf("signature: %w", err)
		}
		sigs = append(sigs, sig)
	}
	signers, err := keyring.Verify(dsse.PAE(PayloadType, payload), sigs, policy)
	if err != nil {
		return nil, nil, err
	}
	var s Statement
	dec := json.NewDecoder(bytes.NewReader(payload))
	if err := dec.Decode(&s); err != nil {
		return nil, nil, fmt.Errorf("payload: %w", err)
	}
	if s.Type != StatementType || s.PredicateType != PredicateType {
		return nil, nil, fmt.Errorf("a %.80q with a %.80q, not provenance of SLSA v1", s.Type, s.PredicateType)
	}
	return &s, signers, nil
}
