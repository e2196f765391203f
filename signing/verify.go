package signing

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"ashlar/pkgtool/fault"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Verify's errors wrap one of these, and all are of class fault.Security.
var (
	// ErrUnsigned: too few of the signatures are by keys in the keyring.
	ErrUnsigned = errors.New("not signed by enough trusted keys")
	// ErrBadSignature: a signature is malformed, or claims to be by a trusted
	// key and is not. The data or the signature was damaged or forged.
	ErrBadSignature = errors.New("bad signature")
	// ErrKeyNotValid: the signature is by a trusted key, but one that is
	// expired, revoked, too weak or not meant for signing.
	ErrKeyNotValid = errors.New("signing key is not valid")
)

// Policy says what a set of signatures must fulfil. The zero value asks for
// one good signature, now.
type Policy struct {
	// Threshold is how many different primary keys must have signed; 0 means 1.
	Threshold int
	// Now is the moment to judge at; zero means the clock. An old archive is
	// verified by giving a moment of its time.
	Now time.Time
	// NotBefore refuses older signatures, so that time cannot be rolled back.
	NotBefore time.Time
	// MinRSABits is the shortest RSA key; 0 means 3072, and less than 2048 is
	// never accepted.
	MinRSABits int
}

// maxSkew is how far a signer's clock may be ahead of ours.
const maxSkew = 24 * time.Hour

var (
	goodHashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512}
	weakHashes = map[crypto.Hash]bool{crypto.MD5: true, crypto.RIPEMD160: true, crypto.SHA1: true, crypto.SHA224: true}
)

// Verify checks detached signatures over data, each binary or armored, and
// returns the sorted primary fingerprints of the keys in kr that signed it
// under policy. It succeeds if they are at least policy.Threshold.
//
// Signatures by keys outside kr are ignored. One by a key of kr that is no
// longer valid does not count. One that is malformed, or does not match the
// data though it names a key of kr, is an error even where others are good.
func (kr *Keyring) Verify(data []byte, sigs [][]byte, policy Policy) (signers []string, err error) {
	return kr.VerifyContent(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, sigs, policy)
}

// VerifyContent is Verify for data of any length. open returns the data from
// its beginning, and is called for each key that may have signed it; its errors
// and those of reading come back as they are.
func (kr *Keyring) VerifyContent(open func() (io.ReadCloser, error), sigs [][]byte, policy Policy) (signers []string, err error) {
	defer guard("verify signature", &err)
	defer func() { err = fault.Mark(err, fault.Security, "") }()
	if policy.Now.IsZero() {
		policy.Now = time.Now()
	}
	threshold := max(policy.Threshold, 1)
	if len(sigs) > maxSignatures {
		return nil, fmt.Errorf("%w: %d signatures, more than the %d allowed", ErrBadSignature, len(sigs), maxSignatures)
	}
	var refusals []error
	unknown := 0
	for _, raw := range sigs {
		packets, err := parseSignatures(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrBadSignature, err)
		}
		for _, sig := range packets {
			signer, err := kr.verifyOne(open, sig, policy)
			switch {
			case errors.Is(err, ErrBadSignature), errors.Is(err, errReading):
				return nil, err
			case err != nil:
				refusals = append(refusals, err)
			case signer == "":
				unknown++
			case !slices.Contains(signers, signer):
				signers = append(signers, signer)
			}
		}
	}
	slices.Sort(signers)
	if len(signers) >= threshold {
		return signers, nil
	}
	refusal := fmt.Errorf("%w: %d of %d needed", ErrUnsigned, len(signers), threshold)
	if unknown > 0 {
		refusal = fmt.Errorf("%w (%d by keys that are not trusted here)", refusal, unknown)
	}
	return nil, errors.Join(append([]error{refusal}, refusals...)...)
}

// parseSignatures reads the signature packets of one detached signature, and
// refuses anything else in it.
func parseSignatures(raw []byte) ([]*packet.Signature, error) {
	blocks := bytes.Count(raw, []byte("-----BEGIN "+openpgp.SignatureType))
	raw, err := decodeBlocks(raw, openpgp.SignatureType, maxSignature)
	if err != nil {
		return nil, err
	}
	if blocks > 1 {
		return nil, errors.New("more than one armored block")
	}
	packets, err := splitPackets(raw, maxSignatures)
	if err != nil {
		return nil, err
	}
	var sigs []*packet.Signature
	for _, p := range packets {
		if p.tag != tagSignature {
			return nil, fmt.Errorf("packet of type %d, where only a detached signature is allowed", p.tag)
		}
		r := bytes.NewReader(p.whole)
		parsed, err := packet.Read(r)
		if err != nil {
			return nil, err
		}
		sig, ok := parsed.(*packet.Signature)
		if !ok || r.Len() != 0 {
			return nil, errors.New("bytes left over in the signature packet")
		}
		if sig.Version != 4 {
			return nil, fmt.Errorf("signature of version %d; only version 4 is supported", sig.Version)
		}
		if sig.SigType != packet.SigTypeBinary {
			return nil, fmt.Errorf("signature of type %#x; only signatures over binary data are allowed", uint8(sig.SigType))
		}
		if !slices.Contains(goodHashes, sig.Hash) {
			return nil, fmt.Errorf("signature made with %v, which is too weak", sig.Hash)
		}
		if err := checkNotations(sig); err != nil {
			return nil, err
		}
		sigs = append(sigs, sig)
	}
	return sigs, nil
}

// verifyOne returns the primary fingerprint of the key that made sig, or ""
// if no key of the ring claims to have.
func (kr *Keyring) verifyOne(open func() (io.ReadCloser, error), sig *packet.Signature, policy Policy) (string, error) {
	kr.mu.Lock()
	defer kr.mu.Unlock()
	claimed := ""
	for _, key := range kr.keys {
		for _, candidate := range append([]*packet.PublicKey{key.entity.PrimaryKey}, subkeysOf(key.entity)...) {
			// The id only finds candidates, all of which are tried: ids collide.
			if !claims(sig, candidate) {
				continue
			}
			claimed = key.Fingerprint()
			h, err := candidateHash(sig, candidate, open)
			if errors.Is(err, errReading) {
				return "", err
			}
			if err != nil || candidate.VerifySignature(h, sig) != nil {
				continue
			}
			if err := checkValid(key.entity, candidate, sig, policy); err != nil {
				return "", fmt.Errorf("%w: key %s: %w", ErrKeyNotValid, key.Fingerprint(), err)
			}
			return key.Fingerprint(), nil
		}
	}
	if claimed != "" {
		return "", fmt.Errorf("%w: it names key %s, and does not match", ErrBadSignature, claimed)
	}
	return "", nil
}

func claims(sig *packet.Signature, key *packet.PublicKey) bool {
	if sig.IssuerFingerprint != nil {
		return bytes.Equal(sig.IssuerFingerprint, key.Fingerprint)
	}
	return sig.IssuerKeyId != nil && *sig.IssuerKeyId == key.KeyId
}

// errReading marks a failure to read what is to be verified.
var errReading = errors.New("read what is signed")

func candidateHash(sig *packet.Signature, key *packet.PublicKey, open func() (io.ReadCloser, error)) (h hash.Hash, err error) {
	if sig.PubKeyAlgo != key.PubKeyAlgo {
		return nil, errors.New("signature and key algorithm differ")
	}
	prepared, err := sig.PrepareVerify()
	if err != nil {
		return nil, err
	}
	data, err := open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReading, err)
	}
	defer data.Close()
	if _, err := io.Copy(prepared, data); err != nil {
		return nil, fmt.Errorf("%w: %w", errReading, err)
	}
	return prepared, nil
}

func subkeysOf(e *openpgp.Entity) (keys []*packet.PublicKey) {
	for _, sub := range e.Subkeys {
		keys = append(keys, sub.PublicKey)
	}
	return keys
}

// checkValid judges the certificate behind a signature that is right
// mathematically: now, and at the time the signature bears.
func checkValid(e *openpgp.Entity, signer *packet.PublicKey, sig *packet.Signature, policy Policy) error {
	made := sig.CreationTime
	switch {
	case made.After(policy.Now.Add(maxSkew)):
		return fmt.Errorf("signature of %s is from the future", made.UTC().Format(time.DateOnly))
	case made.Before(signer.CreationTime):
		return errors.New("signature is older than the key")
	case made.Before(policy.NotBefore):
		return fmt.Errorf("signature of %s is older than the %s asked for", made.UTC().Format(time.DateOnly), policy.NotBefore.UTC().Format(time.DateOnly))
	case sig.SigLifetimeSecs != nil && *sig.SigLifetimeSecs != 0 &&
		policy.Now.After(made.Add(time.Duration(*sig.SigLifetimeSecs)*time.Second)):
		return errors.New("signature has expired")
	}
	for _, key := range []*packet.PublicKey{e.PrimaryKey, signer} {
		if err := checkStrength(key, policy); err != nil {
			return err
		}
	}
	now := policy.Now
	if now.Before(made) { // within maxSkew
		now = made
	}
	for _, at := range []time.Time{now, made} {
		if err := usableAt(e, signer, at); err != nil {
			return err
		}
	}
	return nil
}

func checkStrength(key *packet.PublicKey, policy Policy) error {
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		least := 3072
		if policy.MinRSABits != 0 {
			least = max(policy.MinRSABits, 2048)
		}
		if bits, err := key.BitLength(); err != nil || int(bits) < least {
			return fmt.Errorf("RSA key of %d bits; at least %d are needed", bits, least)
		}
	case packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoECDSA:
		curve, err := key.Curve()
		if err != nil {
			return err
		}
		if curve != packet.Curve25519 && curve != packet.CurveNistP256 && curve != packet.CurveNistP384 {
			return fmt.Errorf("curve %s is not accepted", curve)
		}
	case packet.PubKeyAlgoEd25519:
	default:
		return fmt.Errorf("public key algorithm %d is not accepted", key.PubKeyAlgo)
	}
	return nil
}

// usableNow judges a key for making signatures.
func usableNow(e *openpgp.Entity, now time.Time) error {
	if now.Before(e.PrimaryKey.CreationTime) {
		now = e.PrimaryKey.CreationTime
	}
	if err := revoked(e); err != nil {
		return err
	}
	_, err := e.VerifyPrimaryKey(now, config(now))
	return plain(err)
}

// usableAt is nil if signer, the primary key of e or one of its subkeys, was
// able to sign at that time. A revocation counts whatever its reason and date.
func usableAt(e *openpgp.Entity, signer *packet.PublicKey, at time.Time) error {
	if err := revoked(e); err != nil {
		return err
	}
	cfg := config(at)
	self, err := e.VerifyPrimaryKey(at, cfg)
	if err != nil {
		return plain(err)
	}
	if err := checkSelfSignature(self); err != nil {
		return err
	}
	if signer == e.PrimaryKey {
		if !self.FlagsValid || !self.FlagSign {
			return errors.New("primary key is not meant for signing")
		}
		return nil
	}
	for i := range e.Subkeys {
		sub := &e.Subkeys[i]
		if sub.PublicKey != signer {
			continue
		}
		for _, revocation := range sub.Revocations {
			if e.PrimaryKey.VerifySubkeyRevocationSignature(revocation.Packet, sub.PublicKey) == nil {
				return errors.New("signing subkey is revoked")
			}
		}
		binding, err := sub.Verify(at, cfg)
		if err != nil {
			return fmt.Errorf("signing subkey: %w", plain(err))
		}
		if err := checkSelfSignature(binding); err != nil {
			return err
		}
		if !binding.FlagsValid || !binding.FlagSign {
			return errors.New("subkey is not meant for signing")
		}
		back := binding.EmbeddedSignature
		if back == nil {
			return errors.New("signing subkey does not confirm that it belongs to the primary key")
		}
		return checkSelfSignature(back)
	}
	return errors.New("key does not belong to the certificate")
}

func checkSelfSignature(sig *packet.Signature) error {
	if !slices.Contains(goodHashes, sig.Hash) {
		return fmt.Errorf("key is bound with %v, which is too weak", sig.Hash)
	}
	return checkNotations(sig)
}

func checkNotations(sig *packet.Signature) error {
	for _, n := range sig.Notations {
		if n.IsCritical {
			return fmt.Errorf("unknown critical notation %q", n.Name)
		}
	}
	return nil
}

func revoked(e *openpgp.Entity) error {
	for _, revocation := range e.Revocations {
		if e.PrimaryKey.VerifyRevocationSignature(revocation.Packet) == nil {
			return errors.New("key is revoked")
		}
	}
	return nil
}

// plain says in our words what the library says in its own.
func plain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return errors.New("key has expired")
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return errors.New("key is revoked")
	}
	return err
}
