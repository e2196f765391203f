package pkgfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"ashlar/pkgtool/fault"
	"ashlar/signing"
)

// ErrInvalid is wrapped by every error about a file that is damaged, or that is
// not a package as Write writes it. Such errors are of class fault.Security.
var ErrInvalid = errors.New("invalid package")

func invalid(err error) error {
	return fault.Mark(fmt.Errorf("%w: %w", ErrInvalid, err), fault.Security, "")
}

// Package is an opened package file. Its methods can be used concurrently.
type Package struct {
	r          io.ReaderAt
	close      func() error
	size       int64
	metaSize   int64
	codec      codec
	manifest   *Manifest
	raw        []byte
	signatures map[string][]byte
	frames     []frameLayout
}

// Open reads the meta frame of a package of size bytes and checks it
// completely; the data behind it is checked when it is read. Nothing is trusted
// yet: call VerifySignature, or compare ManifestSHA256 with a trusted index.
// The caller keeps r open as long as the package is in use.
func Open(r io.ReaderAt, size int64) (*Package, error) {
	kind, content, metaSize, err := findMeta(r, size)
	if err != nil {
		return nil, invalid(err)
	}
	frame := make([]byte, metaSize)
	if _, err := r.ReadAt(frame, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read meta frame: %w", err)
	}
	meta := make([]byte, content)
	if err := decodeFrame(kind, frame, meta); err != nil {
		return nil, invalid(fmt.Errorf("meta frame: %w", err))
	}
	p := &Package{r: r, size: size, metaSize: metaSize, codec: kind}
	if p.raw, p.signatures, err = decodeMeta(meta); err != nil {
		return nil, invalid(err)
	}
	if p.manifest, err = ParseManifest(p.raw); err != nil {
		return nil, err
	}
	if p.frames, err = layOut(p.manifest); err != nil {
		return nil, invalid(fmt.Errorf("manifest: %w", err))
	}
	if want := metaSize + p.manifest.dataSize(); want != size {
		return nil, invalid(fmt.Errorf("the file is %d bytes long; its manifest says %d", size, want))
	}
	return p, nil
}

// OpenFile is Open for a file. Close the package after use.
func OpenFile(path string) (*Package, error) {
	// Without O_NONBLOCK a FIFO put there by somebody would hang us.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	p, err := Open(f, info.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p.close = f.Close
	return p, nil
}

// Close closes the file of a package that OpenFile opened.
func (p *Package) Close() error {
	forget(p)
	if p.close == nil {
		return nil
	}
	return p.close()
}

// Manifest is the package's manifest. Do not change it.
func (p *Package) Manifest() *Manifest { return p.manifest }

// ManifestBytes is the canonical JSON that is signed. Do not change it.
func (p *Package) ManifestBytes() []byte { return p.raw }

// ManifestSHA256 names the package by its content.
func (p *Package) ManifestSHA256() string { return hexSum(p.raw) }

// MetaSize is the length of the meta frame in bytes: what must be fetched to
// know everything about the package.
func (p *Package) MetaSize() int64 { return p.metaSize }

// Size is the length of the package file in bytes.
func (p *Package) Size() int64 { return p.size }

// Compression is how the package's frames are compressed: one of Compressions.
func (p *Package) Compression() string { return p.codec.name() }

// Signatures maps the fingerprints that the file claims to detached OpenPGP
// signatures over the manifest. Only VerifySignature tells who really signed.
func (p *Package) Signatures() map[string][]byte { return p.signatures }

// VerifySignature returns the fingerprints of the keys in keyring that signed
// the manifest, by [signing.Keyring.Verify].
func (p *Package) VerifySignature(keyring *signing.Keyring, policy signing.Policy) ([]string, error) {
	var signatures [][]byte
	for _, fpr := range sortedKeys(p.signatures) {
		signatures = append(signatures, p.signatures[fpr])
	}
	signers, err := keyring.Verify(p.raw, signatures, policy)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.manifest.FileName(), err)
	}
	return signers, nil
}
