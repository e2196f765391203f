package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/signing"
)

// maxSignature bounds a signature and a file of keys, in bytes.
const maxSignature = 1 << 20

// minUpstreamRSA is the shortest RSA key of an upstream author, in bits. Many
// sign with keys of 2048; the pinned sum stands beside the signature.
const minUpstreamRSA = 2048

// Signature is a detached OpenPGP signature of a source's file, or of what the
// file decompresses to, as kernel.org signs.
type Signature struct {
	URI  string    // where it is, as the URIs of a source
	Keys []string  // files of public keys, any of which may have made it
	At   time.Time // the moment at which keys must be valid; zero is now
}

// local says that the signature is a file beside the recipe.
func (s *Signature) local() bool { return !strings.Contains(s.URI, ":") }

// signaturePath is the place of a source's signature below a folder of copies;
// below the cache it is in sources/.
func (s Source) signaturePath() string { return "signature/" + s.SHA256 }

func (f *Fetcher) signatureFile(s Source) string {
	return filepath.Join(f.CacheDir, "sources", filepath.FromSlash(s.signaturePath()))
}

// checkSignature checks the upstream signature of a source that has its sum. A
// good signature that came from the network stays in the cache.
func (f *Fetcher) checkSignature(ctx context.Context, s Source, file string) error {
	keys, err := s.Signature.keyring()
	if err != nil {
		return fmt.Errorf("source %s: %w", s.Name(), err)
	}
	if s.Signature.local() {
		signature, err := readBounded(filepath.Join(s.Base, s.Signature.URI))
		if err != nil {
			return fmt.Errorf("signature of source %s: %w", s.Name(), err)
		}
		return s.verifySignature(keys, file, signature)
	}
	cached := f.signatureFile(s)
	if signature, err := os.ReadFile(cached); err == nil {
		if s.verifySignature(keys, file, signature) == nil {
			return nil // else: of another key, or damaged
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("source cache: %w", err)
	}
	signature, err := f.signature(ctx, s)
	if err != nil {
		return fmt.Errorf("signature of source %s: %w", s.Name(), err)
	}
	if err := s.verifySignature(keys, file, signature); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err != nil {
		return fmt.Errorf("source cache: %w", err)
	}
	return durable.WriteFile(cached, signature, 0o644)
}

// signature fetches the signature, first from the folder of copies.
func (f *Fetcher) signature(ctx context.Context, s Source) ([]byte, error) {
	if f.Mirror != "" && !f.Offline {
		if base, err := mirrorBase(f.Mirror); err == nil {
			if data, err := f.readAll(ctx, base+"/"+s.signaturePath(), maxSignature); err == nil {
				return data, nil
			}
		}
	}
	return f.unpinned(ctx, s.Signature.URI, maxSignature)
}

func readBounded(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSignature+1))
	if err == nil && len(data) > maxSignature {
		err = fmt.Errorf("%s has more than %d bytes", name, maxSignature)
	}
	return data, err
}

func (s *Signature) keyring() (*signing.Keyring, error) {
	var keys []*signing.PublicKey
	for _, name := range s.Keys {
		data, err := readBounded(name)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		ring, err := signing.ReadKeyring(data)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", name, err)
		}
		keys = append(keys, ring.Keys()...)
	}
	if len(keys) == 0 {
		return nil, fault.Errorf(fault.Usage, "a signature needs the keys that may have made it")
	}
	return signing.NewKeyring(keys...)
}

// verifySignature tries the file as it is, then what it decompresses to.
func (s Source) verifySignature(keys *signing.Keyring, file string, signature []byte) error {
	policy := signing.Policy{Now: s.Signature.At, MinRSABits: minUpstreamRSA}
	_, err := keys.VerifyContent(func() (io.ReadCloser, error) { return os.Open(file) }, [][]byte{signature}, policy)
	if errors.Is(err, signing.ErrBadSignature) {
		plain := func() (io.ReadCloser, error) { return openPlain(file) }
		if _, again := keys.VerifyContent(plain, [][]byte{signature}, policy); again == nil {
			return nil
		}
	}
	if err != nil {
		return fault.Mark(fmt.Errorf("upstream's signature of source %s: %w", s.Name(), err), fault.Security,
			"compare with what upstream publishes before you trust the file or change the keys")
	}
	return nil
}

func openPlain(file string) (io.ReadCloser, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	plain, err := Decompress(in)
	if err != nil {
		in.Close()
		return nil, err
	}
	return &indexReader{plain, in}, nil
}
