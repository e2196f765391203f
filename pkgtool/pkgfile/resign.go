package pkgfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"

	"ashlar/signing"
)

// Resign writes src with the signatures of keys added; one by the same key is
// replaced. The manifest and the data stay byte for byte the same, and the
// data's hashes are checked on the way: an error means dst is worthless.
func Resign(dst io.Writer, src *Package, keys ...*signing.PrivateKey) error {
	added, err := sign(src.manifest, src.raw, keys)
	if err != nil {
		return err
	}
	signatures := maps.Clone(src.signatures)
	maps.Copy(signatures, added)
	meta, err := encodeMeta(src.codec, src.raw, signatures)
	if err != nil {
		return err
	}
	if _, err := dst.Write(meta); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	for i, frame := range src.manifest.Frames {
		sum := sha256.New()
		section := io.NewSectionReader(src.r, src.metaSize+frame.Offset, frame.Size)
		if _, err := io.Copy(io.MultiWriter(dst, sum), section); err != nil {
			return fmt.Errorf("copy frame %d: %w", i, err)
		}
		if hex.EncodeToString(sum.Sum(nil)) != frame.SHA256 {
			return invalid(fmt.Errorf("frame %d: its sha256 is not the manifest's", i))
		}
	}
	return nil
}
