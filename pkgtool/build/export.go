package build

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
)

// export signs a package of the cache into the output folder, unless it is
// there already, and returns its path. Kernel modules in it are signed too
// where the engine has a key for them.
func (e *Engine) export(ctx context.Context, file *pkgfile.Package) (string, error) {
	target := filepath.Join(e.Out, file.Manifest().FileName())
	if !e.hasModules(file) {
		if e.exported(target, file.ManifestSHA256(), file.Size()-file.MetaSize()) {
			return target, nil
		}
		return target, e.resign(target, file)
	}
	key, err := e.Modules()
	if err != nil {
		return "", err
	}
	var known signedModules
	name := modulesKey(file, key) + ".json"
	if e.Cache.readJSON(&known, "modules", name) && e.exported(target, known.Manifest, known.Data) {
		return target, nil
	}
	temporary, err := e.signModules(ctx, file, key)
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary)
	signed, err := pkgfile.OpenFile(temporary)
	if err != nil {
		return "", err
	}
	defer signed.Close()
	if err := e.resign(target, signed); err != nil {
		return "", err
	}
	return target, e.Cache.writeJSON(signedModules{signed.ManifestSHA256(), signed.Size() - signed.MetaSize()}, "modules", name)
}

func (e *Engine) resign(target string, file *pkgfile.Package) error {
	var signers []*signing.PrivateKey
	if e.Signer != nil {
		signers = append(signers, e.Signer)
	}
	err := durable.Write(target, 0o644, func(w io.Writer) error { return pkgfile.Resign(w, file, signers...) })
	return explainDisk(err)
}

// exported reports whether target is the package with this manifest and so
// many bytes of data, and with the engine's signature.
func (e *Engine) exported(target, manifest string, data int64) bool {
	old, err := pkgfile.OpenFile(target)
	if err != nil {
		return false
	}
	defer old.Close()
	if old.ManifestSHA256() != manifest || old.Size()-old.MetaSize() != data {
		return false
	}
	if e.Signer == nil {
		return len(old.Signatures()) == 0
	}
	_, signed := old.Signatures()[e.Signer.Fingerprint()]
	return signed && len(old.Signatures()) == 1
}
