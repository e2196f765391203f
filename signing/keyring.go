package signing

import (
	"bytes"
	"fmt"
	"sort"
	"sync"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Keyring is a set of trusted public keys. It is safe for concurrent use.
type Keyring struct {
	keys []*PublicKey
	mu   sync.Mutex // the library caches verdicts inside its key objects
}

// NewKeyring trusts exactly the given keys.
func NewKeyring(keys ...*PublicKey) (*Keyring, error) {
	kr := &Keyring{}
	for _, key := range keys {
		// A copy of its own, because cached verdicts are guarded per keyring.
		one, err := parseKeyring(key.raw)
		if err != nil {
			return nil, err
		}
		if err := kr.add(one[0]); err != nil {
			return nil, err
		}
	}
	kr.sort()
	return kr, nil
}

// ReadKeyring reads public keys, binary or in one or more armored blocks. Every
// key in it must be readable; nothing is skipped.
func ReadKeyring(data []byte) (*Keyring, error) {
	blocks, err := decodeBlocks(data, openpgp.PublicKeyType, maxKeyring)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("read keyring: %w", err), fault.Security, "")
	}
	keys, err := parseKeyring(blocks)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("read keyring: %w", err), fault.Security, "")
	}
	kr := &Keyring{}
	for _, key := range keys {
		if err := kr.add(key); err != nil {
			return nil, fault.Mark(fmt.Errorf("read keyring: %w", err), fault.Security, "")
		}
	}
	kr.sort()
	return kr, nil
}

// add refuses two different certificates of one key: one of them could carry
// the revocation that the other hides.
func (kr *Keyring) add(key *PublicKey) error {
	for _, have := range kr.keys {
		if have.Fingerprint() != key.Fingerprint() {
			continue
		}
		if bytes.Equal(have.raw, key.raw) {
			return nil
		}
		return fmt.Errorf("key %s is there twice with different content; keep the newer one", key.Fingerprint())
	}
	kr.keys = append(kr.keys, key)
	return nil
}

func (kr *Keyring) sort() {
	sort.Slice(kr.keys, func(i, j int) bool { return kr.keys[i].Fingerprint() < kr.keys[j].Fingerprint() })
}

// Keys lists the keys by fingerprint.
func (kr *Keyring) Keys() []*PublicKey { return append([]*PublicKey(nil), kr.keys...) }

// Key returns the key with this primary fingerprint, or nil.
func (kr *Keyring) Key(fingerprint string) *PublicKey {
	for _, k := range kr.keys {
		if k.Fingerprint() == fingerprint {
			return k
		}
	}
	return nil
}

// Usable is nil if the key of this primary fingerprint is in the keyring, and
// neither expired nor revoked at that time. Whether a signature is good only
// Verify can say.
func (kr *Keyring) Usable(fingerprint string, at time.Time) (err error) {
	defer guard("look at a key", &err)
	key := kr.Key(fingerprint)
	if key == nil {
		return fmt.Errorf("key %.40s: %w", fingerprint, ErrUnsigned)
	}
	kr.mu.Lock()
	defer kr.mu.Unlock()
	if err := usableNow(key.entity, at); err != nil {
		return fmt.Errorf("%w: key %s: %w", ErrKeyNotValid, fingerprint, err)
	}
	return nil
}

// Armored is the whole keyring in one armored block.
func (kr *Keyring) Armored() []byte {
	var raw []byte
	for _, k := range kr.keys {
		raw = append(raw, k.raw...)
	}
	return armored(openpgp.PublicKeyType, raw)
}

// parseKeyring reads binary certificates one at a time, so that the raw bytes
// of each are known and none is skipped.
func parseKeyring(data []byte) (keys []*PublicKey, err error) {
	defer guard("read keys", &err)
	if err := checkKeyPackets(data, false); err != nil {
		return nil, err
	}
	packets, err := splitPackets(data, len(data))
	if err != nil {
		return nil, err
	}
	var blocks [][]byte
	for _, p := range packets {
		if p.tag == tagPublicKey {
			blocks = append(blocks, nil)
		}
		if p.tag != tagTrust && p.tag != tagMarker { // local notes of a keyring program
			last := len(blocks) - 1
			blocks[last] = append(blocks[last], p.whole...)
		}
	}
	for _, block := range blocks {
		entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(block)))
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(keys)+1, err)
		}
		if entity.PrimaryKey.Version != 4 {
			return nil, fmt.Errorf("key %s is of version %d; only version 4 is supported", fingerprint(entity), entity.PrimaryKey.Version)
		}
		keys = append(keys, &PublicKey{entity, block})
	}
	return keys, nil
}

func userIDs(e *openpgp.Entity) []string {
	var ids []string
	for id := range e.Identities {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}
