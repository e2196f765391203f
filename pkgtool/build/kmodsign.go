package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/signing/kmod"
)

// maxModule bounds a kernel module that is signed, in bytes.
const maxModule = 256 << 20

// signedModules is what export remembers of a package with signed modules.
type signedModules struct {
	Manifest string `json:"manifest"` // sha256 of the manifest with signed modules
	Data     int64  `json:"data"`     // bytes behind the meta frame
}

// isModule reports whether a file of a package is a kernel module that can be
// signed: compressed ones cannot.
func isModule(f *pkgfile.File) bool {
	return f.Type == pkgfile.TypeFile && f.Size > 0 && strings.HasPrefix(f.Path, "usr/lib/modules/") && path.Ext(f.Path) == ".ko"
}

// hasModules reports whether a package is exported with signed modules.
func (e *Engine) hasModules(file *pkgfile.Package) bool {
	if e.Modules == nil {
		return false
	}
	files := file.Manifest().Files
	for i := range files {
		if isModule(&files[i]) {
			return true
		}
	}
	return false
}

// signModules writes a package with file's content, but its kernel modules
// signed, to the cache's work folder. The build has no part in this: the key
// never enters it, and what is cached has no signatures. The caller removes the
// package.
func (e *Engine) signModules(ctx context.Context, file *pkgfile.Package, key *kmod.Key) (name string, err error) {
	added, err := key.Added()
	if err != nil {
		return "", err
	}
	m := *file.Manifest()
	inputs := make([]pkgfile.Input, 0, len(m.Files))
	for i := range m.Files {
		f := &m.Files[i]
		in := pkgfile.Input{File: *f, Open: func() (io.ReadCloser, error) { return file.OpenFrameFile(f) }}
		if isModule(f) {
			if f.Size > maxModule {
				return "", fmt.Errorf("%s: %d bytes, more than the %d of a kernel module that can be signed", f.Path, f.Size, maxModule)
			}
			in.Size += added
			in.Open = func() (io.ReadCloser, error) { return signModule(file, f, key) }
		}
		inputs = append(inputs, in)
	}
	target, err := os.CreateTemp(e.Cache.path("work"), "modules-*"+pkgfile.MediaSuffix)
	if err != nil {
		return "", explainDisk(err)
	}
	defer target.Close()
	_, err = pkgfile.Write(ctx, target, m, inputs, pkgfile.Options{Compression: file.Compression(), SpoolDir: e.Cache.path("work")})
	if err != nil {
		os.Remove(target.Name())
		return "", fmt.Errorf("sign the kernel modules of %s: %w", m.FileName(), explainDisk(err))
	}
	return target.Name(), nil
}

func signModule(file *pkgfile.Package, f *pkgfile.File, key *kmod.Key) (io.ReadCloser, error) {
	r, err := file.OpenFrameFile(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	module, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err != nil {
		return nil, err
	}
	signed, err := key.Sign(module)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return io.NopCloser(bytes.NewReader(signed)), nil
}

// modulesKey names a package with the modules of file signed by the key.
func modulesKey(file *pkgfile.Package, key *kmod.Key) string {
	certificate := sha256.Sum256(key.Certificate())
	sum := sha256.Sum256([]byte(file.ManifestSHA256() + hex.EncodeToString(certificate[:])))
	return hex.EncodeToString(sum[:])
}
