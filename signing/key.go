package signing

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// PublicKey is one OpenPGP certificate: a primary key with its subkeys, user
// ids and self-signatures.
type PublicKey struct {
	entity *openpgp.Entity
	raw    []byte // the transferable public key, binary
}

// Fingerprint is the primary key's, 40 upper-case hexadecimal digits.
func (k *PublicKey) Fingerprint() string { return fingerprint(k.entity) }

// Created is when the primary key was made.
func (k *PublicKey) Created() time.Time { return k.entity.PrimaryKey.CreationTime.UTC() }

// UserIDs lists the names the key claims, sorted. They prove nothing.
func (k *PublicKey) UserIDs() []string { return userIDs(k.entity) }

// Binary is the transferable public key as `gpg --export` writes it.
func (k *PublicKey) Binary() []byte { return bytes.Clone(k.raw) }

// Armored is Binary in ASCII armor.
func (k *PublicKey) Armored() []byte { return armored(openpgp.PublicKeyType, k.raw) }

// ParsePublic reads exactly one public key, binary or armored.
func ParsePublic(data []byte) (*PublicKey, error) {
	keyring, err := ReadKeyring(data)
	if err != nil {
		return nil, err
	}
	if len(keyring.keys) != 1 {
		return nil, fmt.Errorf("read public key: %d keys where one is expected", len(keyring.keys))
	}
	return keyring.keys[0], nil
}

// PrivateKey signs. It is safe for concurrent use.
type PrivateKey struct {
	entity *openpgp.Entity
	public *PublicKey
	from   time.Time // the first moment at which a signature of this key is valid
}

// Generate makes an Ed25519 key that can only sign and certify. It does not
// expire. created is recorded in seconds; it is also the earliest time any
// signature of the key can bear. Name and email must not contain ()<>.
func Generate(name, email string, created time.Time) (*PrivateKey, error) {
	entity, err := openpgp.NewEntity(name, "", email, config(created))
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("generate key for %q <%s>: %w", name, email, err), fault.Usage, "")
	}
	entity.Subkeys = nil // the library always adds an encryption key; packages need none
	return newPrivateKey(entity)
}

// ParsePrivate reads exactly one private key without passphrase, binary or
// armored, as `gpg --export-secret-keys` writes it.
func ParsePrivate(data []byte) (key *PrivateKey, err error) {
	defer guard("read private key", &err)
	blocks, err := decodeBlocks(data, openpgp.PrivateKeyType, maxKeyring)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	if err := checkKeyPackets(blocks, true); err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	list, err := openpgp.ReadKeyRing(bytes.NewReader(blocks))
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	if len(list) != 1 || list[0].PrivateKey == nil {
		return nil, fmt.Errorf("read private key: %d keys where one private key is expected", len(list))
	}
	return newPrivateKey(list[0])
}

func newPrivateKey(entity *openpgp.Entity) (*PrivateKey, error) {
	if entity.PrivateKey.Encrypted {
		return nil, fault.Mark(errors.New("the private key has a passphrase, which is not supported yet"),
			fault.Usage, "remove it in a copy: gpg --edit-key FINGERPRINT passwd, then export again")
	}
	raw, err := serialize(entity, false)
	if err != nil {
		return nil, fmt.Errorf("serialise public key: %w", err)
	}
	public, err := ParsePublic(raw)
	if err != nil {
		return nil, err
	}
	key := &PrivateKey{entity: entity, public: public, from: validFrom(entity)}
	if _, ok := entity.SigningKey(key.from, config(key.from)); !ok {
		return nil, fault.Mark(fmt.Errorf("key %s cannot sign: it is expired, revoked or not meant for signing", key.Fingerprint()),
			fault.Security, "")
	}
	return key, nil
}

// validFrom is the time at which every key and self-signature of entity that a
// signature rests on exists.
func validFrom(entity *openpgp.Entity) time.Time {
	from := entity.PrimaryKey.CreationTime
	later := func(t time.Time) {
		if t.After(from) {
			from = t
		}
	}
	for _, id := range entity.Identities {
		for _, sig := range id.SelfCertifications {
			later(sig.Packet.CreationTime)
		}
	}
	for _, sub := range entity.Subkeys {
		later(sub.PublicKey.CreationTime)
		for _, sig := range sub.Bindings {
			later(sig.Packet.CreationTime)
		}
	}
	return from.UTC()
}

// Fingerprint is the primary key's, 40 upper-case hexadecimal digits.
func (k *PrivateKey) Fingerprint() string { return k.public.Fingerprint() }

// Public is the part to give away.
func (k *PrivateKey) Public() *PublicKey { return k.public }

// Sign is SignAt with the earliest possible time, so that the same key and
// data always give the same bytes.
func (k *PrivateKey) Sign(data []byte) ([]byte, error) { return k.SignAt(data, time.Time{}) }

// SignAt returns a detached binary signature over data. The signature bears
// the later of t and the time since which the key is able to sign; the clock
// does not enter it, so Ed25519 and RSA keys always give the same bytes. A key
// that is expired or revoked now refuses, and so does a t in the future, which
// every verifier would refuse.
func (k *PrivateKey) SignAt(data []byte, t time.Time) (signature []byte, err error) {
	defer guard("sign", &err)
	if t.Before(k.from) {
		t = k.from
	}
	if err := usableNow(k.entity, time.Now()); err != nil {
		return nil, fault.Mark(fmt.Errorf("sign with key %s: %w", k.Fingerprint(), err), fault.Security,
			"use a key that is valid: pkgtool key list")
	}
	if t.After(time.Now().Add(maxSkew)) {
		return nil, fault.Mark(fmt.Errorf("sign with key %s: %s is in the future", k.Fingerprint(), t.UTC().Format(time.DateOnly)),
			fault.Usage, "correct the date of what is signed, or this machine's clock")
	}
	var out bytes.Buffer
	if err := k.detached(&out, data, t); err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", k.Fingerprint(), err)
	}
	return out.Bytes(), nil
}

// detached makes the signature packet itself: the library's own function picks
// a hash by the preferences of a user id, in no fixed order.
func (k *PrivateKey) detached(w io.Writer, data []byte, t time.Time) error {
	cfg := config(t)
	signer, ok := k.entity.SigningKey(t, cfg)
	if !ok || signer.PrivateKey == nil {
		return errors.New("no key in it could sign at that time")
	}
	key := signer.PrivateKey
	sig := &packet.Signature{
		Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA512, CreationTime: t,
		IssuerKeyId: &key.KeyId, IssuerKeyVersion: 4, IssuerFingerprint: key.Fingerprint,
	}
	h := crypto.SHA512.New()
	h.Write(data)
	if err := sig.Sign(h, key, cfg); err != nil {
		return err
	}
	return sig.Serialize(w)
}

// ArmoredPrivate is the private key in ASCII armor. Whoever has it can sign.
func (k *PrivateKey) ArmoredPrivate() ([]byte, error) {
	raw, err := serialize(k.entity, true)
	if err != nil {
		return nil, fmt.Errorf("serialise private key %s: %w", k.Fingerprint(), err)
	}
	return armored(openpgp.PrivateKeyType, raw), nil
}

// serialize writes a key's packets with the user ids in order; the library's
// own function writes them as Go walks a map.
func serialize(e *openpgp.Entity, private bool) ([]byte, error) {
	var out bytes.Buffer
	var primary interface{ Serialize(io.Writer) error } = e.PrimaryKey
	if private {
		primary = e.PrivateKey
	}
	if err := primary.Serialize(&out); err != nil {
		return nil, err
	}
	for _, sigs := range [][]*packet.VerifiableSignature{e.Revocations, e.DirectSignatures} {
		for _, sig := range sigs {
			if err := sig.Packet.Serialize(&out); err != nil {
				return nil, err
			}
		}
	}
	for _, id := range userIDs(e) {
		if err := e.Identities[id].Serialize(&out); err != nil {
			return nil, err
		}
	}
	for i := range e.Subkeys {
		if err := e.Subkeys[i].Serialize(&out, private); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// config is how we make keys and signatures: legacy Ed25519, which gpg 2.2
// reads too, SHA-512, and no random salt, because output must be reproducible.
func config(t time.Time) *packet.Config {
	salt := false
	return &packet.Config{
		DefaultHash:                           crypto.SHA512,
		Algorithm:                             packet.PubKeyAlgoEdDSA,
		Curve:                                 packet.Curve25519,
		Time:                                  func() time.Time { return t },
		NonDeterministicSignaturesViaNotation: &salt,
		RejectHashAlgorithms:                  weakHashes,
	}
}

func fingerprint(e *openpgp.Entity) string { return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint) }

func armored(kind string, raw []byte) []byte {
	var out bytes.Buffer
	w, err := armor.Encode(&out, kind, nil)
	if err == nil {
		_, err = w.Write(raw)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("armor into memory: " + err.Error()) // a buffer does not fail
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// guard turns a panic of the OpenPGP library into an error: its parsers have
// had several, and one bad key must not take the program down.
func guard(doing string, err *error) {
	if p := recover(); p != nil {
		*err = fault.Errorf(fault.Security, "%s: the OpenPGP parser gave up on malformed input: %v", doing, p)
	}
}

// decodeBlocks returns the binary content of data, which is either binary
// already or one or more armored blocks of the given kind with nothing but
// white space around them.
func decodeBlocks(data []byte, kind string, limit int) ([]byte, error) {
	if len(data) > limit {
		return nil, fmt.Errorf("%d bytes, more than the %d allowed", len(data), limit)
	}
	if len(data) == 0 {
		return nil, errors.New("empty")
	}
	if data[0]&0x80 != 0 {
		return data, nil
	}
	begin, end := "-----BEGIN "+kind+"-----", "-----END "+kind+"-----"
	var out []byte
	rest := strings.TrimSpace(string(data))
	for rest != "" {
		if !strings.HasPrefix(rest, begin) {
			if other, ok := strings.CutPrefix(rest, "-----BEGIN PGP "); ok && strings.Contains(other, "-----") {
				other, _, _ = strings.Cut(other, "-----")
				return nil, fmt.Errorf("this is a PGP %.40q; a %q is expected", other, kind)
			}
			return nil, fmt.Errorf("neither OpenPGP packets nor an armored %s", kind)
		}
		body, after, ended := strings.Cut(rest[len(begin):], end)
		if !ended || strings.Contains(body, "-----BEGIN") {
			return nil, errors.New("armored block without an end")
		}
		block, err := armor.Decode(strings.NewReader(begin + body + end))
		if err != nil {
			return nil, fmt.Errorf("armor: %w", err)
		}
		packets, err := io.ReadAll(io.LimitReader(block.Body, int64(limit)+1))
		if err != nil {
			return nil, fmt.Errorf("armor: %w", err)
		}
		out = append(out, packets...)
		if len(out) > limit {
			return nil, fmt.Errorf("more than the %d bytes allowed", limit)
		}
		rest = strings.TrimSpace(after)
	}
	return out, nil
}
