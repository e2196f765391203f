package index

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/version"
)

// Entry is what an index says about one package: enough to solve without the
// package, to fetch it, and to prove that what was fetched is what was meant.
type Entry struct {
	Name          string   `json:"name"`
	Version       string   `json:"version"` // semantic version, without epoch and release
	Release       uint32   `json:"release"`
	Epoch         uint32   `json:"epoch,omitempty"`
	Arch          string   `json:"arch"`
	Upstream      string   `json:"upstream,omitempty"` // the upstream spelling of the version
	Summary       string   `json:"summary,omitempty"`
	Recipe        string   `json:"recipe,omitempty"`
	Requires      []string `json:"requires,omitempty"`
	Provides      []string `json:"provides,omitempty"`
	Conflicts     []string `json:"conflicts,omitempty"`
	Replaces      []string `json:"replaces,omitempty"`
	Recommends    []string `json:"recommends,omitempty"`
	Supplements   []string `json:"supplements,omitempty"`
	InstallOnly   bool     `json:"install_only,omitempty"`
	Vendor        string   `json:"vendor,omitempty"`
	Size          int64    `json:"size"`            // bytes of the package file
	InstalledSize int64    `json:"installed_size"`  // bytes of its files
	SHA256        string   `json:"sha256"`          // of the package file
	Manifest      string   `json:"manifest_sha256"` // of its manifest
	MetaSize      int64    `json:"meta_size"`       // bytes of its meta frame: manifest and signatures
	Path          string   `json:"path"`            // in the repository
}

// EVR returns epoch, version and release as one comparable value.
func (e *Entry) EVR() (version.Version, error) {
	return version.New(e.Epoch, e.Version, e.Release)
}

// ID is the package's name as people write it: name-version-release.arch,
// with the epoch, if there is one, before the version.
func (e *Entry) ID() string {
	epoch := ""
	if e.Epoch != 0 {
		epoch = fmt.Sprintf("%d:", e.Epoch)
	}
	return fmt.Sprintf("%s-%s%s-%d.%s", e.Name, epoch, e.Version, e.Release, e.Arch)
}

// PoolPath is where a package with these fields lies in a repository. The
// start of its hash is part of the name, so one name never has two contents:
// a cache or a client in the middle of a download never meets a changed file.
func (e *Entry) PoolPath() string {
	if e.Name == "" || len(e.SHA256) < poolHash {
		return ""
	}
	epoch := ""
	if e.Epoch != 0 {
		epoch = strconv.FormatUint(uint64(e.Epoch), 10) + "."
	}
	return "pool/" + e.Name[:1] + "/" + e.Name + "/" + e.SHA256[:poolHash] + "." + e.Name + "-" + epoch + e.Version +
		"-" + strconv.FormatUint(uint64(e.Release), 10) + "." + e.Arch + ".ashlar"
}

// poolHash is how many hex digits of the file's sha256 its name carries. They
// keep honest files apart (64 bits); security rests on the whole hash.
const poolHash = 16

// Difference names the first field in which an index entry and the entry made
// from the package itself differ, and both values; empty when they agree.
func Difference(indexed, actual *Entry) (field, says, is string) {
	list := func(l []string) string { return strings.Join(l, ", ") }
	for _, f := range []struct{ name, says, is string }{
		{"name", indexed.Name, actual.Name},
		{"version", indexed.Version, actual.Version},
		{"release", fmt.Sprint(indexed.Release), fmt.Sprint(actual.Release)},
		{"epoch", fmt.Sprint(indexed.Epoch), fmt.Sprint(actual.Epoch)},
		{"arch", indexed.Arch, actual.Arch},
		{"upstream", indexed.Upstream, actual.Upstream},
		{"summary", indexed.Summary, actual.Summary},
		{"recipe", indexed.Recipe, actual.Recipe},
		{"requires", list(indexed.Requires), list(actual.Requires)},
		{"provides", list(indexed.Provides), list(actual.Provides)},
		{"conflicts", list(indexed.Conflicts), list(actual.Conflicts)},
		{"replaces", list(indexed.Replaces), list(actual.Replaces)},
		{"recommends", list(indexed.Recommends), list(actual.Recommends)},
		{"supplements", list(indexed.Supplements), list(actual.Supplements)},
		{"install_only", fmt.Sprint(indexed.InstallOnly), fmt.Sprint(actual.InstallOnly)},
		{"vendor", indexed.Vendor, actual.Vendor},
		{"installed_size", fmt.Sprint(indexed.InstalledSize), fmt.Sprint(actual.InstalledSize)},
		{"size", fmt.Sprint(indexed.Size), fmt.Sprint(actual.Size)},
		{"sha256", indexed.SHA256, actual.SHA256},
		{"manifest_sha256", indexed.Manifest, actual.Manifest},
		{"meta_size", fmt.Sprint(indexed.MetaSize), fmt.Sprint(actual.MetaSize)},
		{"path", indexed.Path, actual.Path},
	} {
		if f.says != f.is {
			return f.name, f.says, f.is
		}
	}
	return "", "", ""
}

// Sort puts entries in the order of an index: name, then version, release and
// epoch as ordered values, then arch and hash. The error is about a version that
// is none; versions are looked at where names are equal.
func Sort(entries []Entry) error {
	var failure error
	slices.SortFunc(entries, func(a, b Entry) int {
		c, err := Compare(&a, &b)
		if err != nil {
			failure = err
		}
		return c
	})
	return failure
}

// Compare tells which of two entries comes first in an index.
func Compare(a, b *Entry) (int, error) {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c, nil
	}
	if a.Epoch != b.Epoch || a.Version != b.Version || a.Release != b.Release {
		v, err := a.EVR()
		if err != nil {
			return 0, fmt.Errorf("package %s: %w", a.ID(), err)
		}
		w, err := b.EVR()
		if err != nil {
			return 0, fmt.Errorf("package %s: %w", b.ID(), err)
		}
		if c := v.Compare(w); c != 0 {
			return c, nil
		}
	}
	return cmp.Or(strings.Compare(a.Arch, b.Arch), strings.Compare(a.SHA256, b.SHA256)), nil
}
