package build

import (
	"context"
	"io"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
)

// export signs a package of the cache into the output folder, unless it is
// there already, and returns its path.
func (e *Engine) export(_ context.Context, file *pkgfile.Package) (string, error) {
	target := filepath.Join(e.Out, file.Manifest().FileName())
	if e.exported(target, file) {
		return target, nil
	}
	var signers []*signing.PrivateKey
	if e.Signer != nil {
		signers = append(signers, e.Signer)
	}
	err := durable.Write(target, 0o644, func(w io.Writer) error { return pkgfile.Resign(w, file, signers...) })
	return target, explainDisk(err)
}

// exported reports whether target is the package with the engine's signature.
func (e *Engine) exported(target string, file *pkgfile.Package) bool {
	old, err := pkgfile.OpenFile(target)
	if err != nil {
		return false
	}
	defer old.Close()
	if old.ManifestSHA256() != file.ManifestSHA256() || old.Size()-old.MetaSize() != file.Size()-file.MetaSize() {
		return false
	}
	if e.Signer == nil {
		return len(old.Signatures()) == 0
	}
	_, signed := old.Signatures()[e.Signer.Fingerprint()]
	return signed && len(old.Signatures()) == 1
}
