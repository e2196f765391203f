package repo

import (
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

	"ashlar/pkgtool/durable"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// roles in the order in which a publisher signs them.
var roles = []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP}

// roleKeys are the private keys of a repository, one Ed25519 key for a role.
type roleKeys map[string]ed25519.PrivateKey

// keyFile is where the key of a role is kept. Root and targets are meant to be
// taken offline: publishing without them works until a package is added.
func keyFile(keysDir, repository, role string) string {
	return filepath.Join(keysDir, "repositories", repository, role+".pem")
}

// ensureKeys reads the role keys of a repository and makes those that do not
// exist yet.
func ensureKeys(keysDir, repository string) (roleKeys, error) {
	keys := roleKeys{}
	for _, role := range roles {
		path := keyFile(keysDir, repository, role)
		key, err := readKey(path)
		if errors.Is(err, fs.ErrNotExist) {
			key, err = makeKey(path)
		}
		if err != nil {
			return nil, fmt.Errorf("%s key of repository %s: %w", role, repository, err)
		}
		keys[role] = key
	}
	return keys, nil
}

func makeKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return key, durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func readKey(path string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others; run: chmod 600 %s", path, path)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) != 0 {
		return nil, fmt.Errorf("%s is not one PEM private key", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T; a role key is Ed25519", path, parsed)
	}
	return key, nil
}

// sign replaces the signatures of m by one with the key of role.
func sign[T metadata.Roles](m *metadata.Metadata[T], key ed25519.PrivateKey) ([]byte, error) {
	signer, err := signature.LoadSigner(key, crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	m.ClearSignatures()
	if _, err := m.Sign(signer); err != nil {
		return nil, err
	}
	data, err := m.ToBytes(false)
	return append(data, '\n'), err
}

// tufKey returns the public half in the form of TUF metadata, and its id.
func tufKey(key ed25519.PrivateKey) (*metadata.Key, string, error) {
	public, err := metadata.KeyFromPublicKey(key.Public())
	if err != nil {
		return nil, "", err
	}
	id, err := public.ID()
	return public, id, err
}
