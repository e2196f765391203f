package repo

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// roles in the order in which a publisher signs them.
var roles = []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP}

// Roles lists the roles that have keys.
func Roles() []string { return slices.Clone(roles) }

// KeyFolder is where the role keys of a repository lie that are at hand. Any
// file NAME.pem in it is a key; which role it belongs to is what root metadata
// says, so a key may be brought back under whatever name.
func KeyFolder(keysDir, repository string) string {
	return filepath.Join(keysDir, "repositories", repository)
}

// heldKey is a private role key at hand.
type heldKey struct {
	id      string // TUF key id: SHA-256 of the public key in canonical JSON
	file    string
	private ed25519.PrivateKey
}

// heldKeys are all keys in a folder, by file name.
type heldKeys []heldKey

// readHeld reads the keys of a folder; none if there is no such folder.
func readHeld(folder string) (heldKeys, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var held heldKeys
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".pem" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		key, err := ReadRoleKey(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		if key.Private() {
			held = append(held, heldKey{key.ID, key.file, key.private})
		}
	}
	return held, nil
}

// find returns the key with this id, or nil.
func (h heldKeys) find(id string) *heldKey {
	for i := range h {
		if h[i].id == id {
			return &h[i]
		}
	}
	return nil
}

// count is how many of the keys with these ids are at hand.
func (h heldKeys) count(ids []string) int {
	n := 0
	for _, id := range ids {
		if h.find(id) != nil {
			n++
		}
	}
	return n
}

// RoleKey is an Ed25519 key for a role of a repository, with or without its
// private half.
type RoleKey struct {
	ID      string // SHA-256 of the public key as TUF writes it, 64 hexadecimal digits
	public  ed25519.PublicKey
	private ed25519.PrivateKey // nil if only the public half is known
	file    string
}

// NewRoleKey makes a key, without a place to keep it.
func NewRoleKey() (*RoleKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return roleKey(private.Public().(ed25519.PublicKey), private, "")
}

func roleKey(public ed25519.PublicKey, private ed25519.PrivateKey, file string) (*RoleKey, error) {
	k := &RoleKey{public: public, private: private, file: file}
	_, id, err := k.tuf()
	k.ID = id
	return k, err
}

// tuf returns the public half in the form of TUF metadata, and its id.
func (k *RoleKey) tuf() (*metadata.Key, string, error) {
	public, err := metadata.KeyFromPublicKey(k.public)
	if err != nil {
		return nil, "", err
	}
	id, err := public.ID()
	return public, id, err
}

// ReadRoleKey reads a private or a public key, in PEM. A file with a private
// key must not be readable by others.
func ReadRoleKey(path string) (*RoleKey, error) {
	data, err := readBounded(path, 16<<10)
	if err != nil {
		return nil, err
	}
	key, err := parseRoleKey(data, path)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "make a key with: pkgtool repo key new FILE")
	}
	if info, err := os.Stat(path); err == nil && key.private != nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fault.Errorf(fault.Security, "%s can be read by others; run: chmod 600 %s", path, path)
	}
	return key, nil
}

func parseRoleKey(data []byte, path string) (*RoleKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("not one PEM key")
	}
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("holds a PEM block of type %.40q; a key is a PRIVATE KEY (PKCS #8) or a PUBLIC KEY", block.Type)
	}
	if err != nil {
		return nil, err
	}
	switch key := parsed.(type) {
	case ed25519.PrivateKey:
		return roleKey(key.Public().(ed25519.PublicKey), key, path)
	case ed25519.PublicKey:
		return roleKey(key, nil, path)
	}
	return nil, fmt.Errorf("holds a %T; a role key is Ed25519", parsed)
}

// Private reports whether the private half is known.
func (k *RoleKey) Private() bool { return k.private != nil }

// PublicHalf is the key without its private half.
func (k *RoleKey) PublicHalf() *RoleKey {
	half := *k
	half.private = nil
	return &half
}

// WritePrivate writes the private half as PKCS #8 in PEM, readable by its owner
// only. It never replaces a file.
func (k *RoleKey) WritePrivate(path string) error {
	if k.private == nil {
		return fault.Errorf(fault.Usage, "%s: there is only the public half of key %s", path, k.ID)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return err
	}
	return writeNewPEM(path, "PRIVATE KEY", der, 0o600)
}

// WritePublic writes the public half as PKIX in PEM. It never replaces a file.
func (k *RoleKey) WritePublic(path string) error {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return err
	}
	return writeNewPEM(path, "PUBLIC KEY", der, 0o644)
}

func writeNewPEM(path, kind string, der []byte, perm os.FileMode) error {
	if _, err := os.Lstat(path); err == nil {
		return fault.Mark(fmt.Errorf("%s is there already: %w", path, fs.ErrExist), fault.Usage, "choose another name; a key is never overwritten")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), perm)
}

// keep writes a private key into the folder of its repository: ROLE.pem, or
// ROLE-2.pem, ROLE-3.pem ... where that is taken.
func (k *RoleKey) keep(folder, role string) (string, error) {
	for n := 1; ; n++ {
		path := filepath.Join(folder, role+".pem")
		if n > 1 {
			path = filepath.Join(folder, fmt.Sprintf("%s-%d.pem", role, n))
		}
		err := k.WritePrivate(path)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return path, err
	}
}

// firstKeys returns one key for each role of a new repository: the one that is
// there as ROLE.pem, or a new one.
func firstKeys(folder string) (map[string]*RoleKey, error) {
	keys := map[string]*RoleKey{}
	for _, role := range roles {
		path := filepath.Join(folder, role+".pem")
		key, err := ReadRoleKey(path)
		if errors.Is(err, fs.ErrNotExist) {
			if key, err = NewRoleKey(); err == nil {
				err = key.WritePrivate(path)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s key: %w", role, err)
		}
		if key.private == nil {
			return nil, fault.Errorf(fault.Usage, "%s holds only a public key; a repository begins with private keys at hand", path)
		}
		keys[role] = key
	}
	return keys, nil
}

// signWith replaces the signatures of m by those of all keys at hand whose id
// is listed, and returns the file.
func signWith[T metadata.Roles](m *metadata.Metadata[T], held heldKeys, ids []string) ([]byte, error) {
	m.ClearSignatures()
	for _, id := range ids {
		key := held.find(id)
		if key == nil {
			continue
		}
		signer, err := signature.LoadSigner(key.private, crypto.Hash(0))
		if err != nil {
			return nil, err
		}
		if _, err := m.Sign(signer); err != nil {
			return nil, err
		}
	}
	return encode(m)
}

// encode is the file of m, signatures in the order of their key ids.
func encode[T metadata.Roles](m *metadata.Metadata[T]) ([]byte, error) {
	slices.SortFunc(m.Signatures, func(a, b metadata.Signature) int { return strings.Compare(a.KeyID, b.KeyID) })
	data, err := m.ToBytes(false)
	return append(data, '\n'), err
}

// thresholdMet reports whether m bears enough good signatures of the role's
// keys under root.
func thresholdMet[T metadata.Roles](root *metadata.Metadata[metadata.RootType], role string, m *metadata.Metadata[T]) bool {
	return root.VerifyDelegate(role, m) == nil
}
