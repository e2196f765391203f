package index

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/version"
)

// FromPackage returns the entry that describes a package file of this size and
// sha256. Every field of it follows from the package.
func FromPackage(p *pkgfile.Package, size int64, sum string) Entry {
	m := p.Manifest()
	e := Entry{
		Name: m.Name, Version: m.Version, Release: m.Release, Epoch: m.Epoch, Arch: m.Arch,
		Upstream: m.Upstream, Summary: m.Summary, Recipe: m.Recipe,
		Requires: m.Requires, Provides: m.Provides, Conflicts: m.Conflicts,
		Replaces: m.Replaces, Recommends: m.Recommends,
		Supplements: m.Supplements, InstallOnly: m.InstallOnly, Vendor: m.Vendor,
		Size: size, InstalledSize: m.InstalledSize, SHA256: sum,
		Manifest: p.ManifestSHA256(), MetaSize: p.MetaSize(),
	}
	e.Path = e.PoolPath()
	return e
}

// CheckDependencies parses every dependency and provide of an entry.
func (e *Entry) CheckDependencies() error {
	for _, list := range [][]string{e.Requires, e.Conflicts, e.Replaces, e.Recommends, e.Supplements} {
		for _, text := range list {
			if _, err := version.ParseDependency(text); err != nil {
				return fmt.Errorf("package %s: dependency %.200q: %w", e.ID(), text, err)
			}
		}
	}
	for _, text := range e.Provides {
		if _, err := version.ParseProvide(text); err != nil {
			return fmt.Errorf("package %s: provide %.200q: %w", e.ID(), text, err)
		}
	}
	return nil
}

// Sum returns the length and the sha256, in hexadecimal, of what r holds.
func Sum(r io.Reader) (size int64, sum string, err error) {
	h := sha256.New()
	size, err = io.Copy(h, r)
	return size, hex.EncodeToString(h.Sum(nil)), err
}
