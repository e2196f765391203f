package install

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
)

// LockFormat is the version of the lock file's format that this package writes
// and the only one it reads.
const LockFormat = 1

// maxLock bounds a lock file in bytes: 100,000 packages.
const maxLock = 32 << 20

// Lock names every package of a system by the hash of its manifest, which
// states the hash of every file. Its file format is specified in
// docs/formats/lock.md.
type Lock struct {
	Format   int             `json:"ashlar_lock"`
	Arch     string          `json:"arch"`
	Packages []LockedPackage `json:"packages"` // by name, then version
}

// LockedPackage is one package of a lock file.
type LockedPackage struct {
	Name      string          `json:"name"`
	Version   version.Version `json:"version"`
	Arch      string          `json:"arch"`
	Manifest  string          `json:"manifest_sha256"`
	Repo      string          `json:"repo,omitempty"` // where it came from; for people only
	Requested bool            `json:"requested,omitempty"`
}

func (l *LockedPackage) String() string { return l.Name + " " + l.Version.String() }

func compareLocked(a, b LockedPackage) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), a.Version.Compare(b.Version))
}

// LockOf is the lock of what is installed.
func LockOf(installed []system.Record) *Lock {
	l := &Lock{Format: LockFormat, Arch: Arch, Packages: []LockedPackage{}}
	for _, r := range installed {
		l.Packages = append(l.Packages, LockedPackage{r.Name, r.Version, r.Arch, r.Manifest, r.Repo, r.Requested})
	}
	slices.SortFunc(l.Packages, compareLocked)
	return l
}

// Encode returns the text of a lock file: one line for each package, so that a
// difference between two of them reads well.
func (l *Lock) Encode() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "{\"ashlar_lock\":%d,\"arch\":%q,\"packages\":[", l.Format, l.Arch)
	for i, p := range l.Packages {
		line, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
		out.Write(line)
	}
	out.WriteString("\n]}\n")
	return out.Bytes(), nil
}

// ParseLock reads a lock file; path stands for it in errors, which are of class
// fault.Usage.
func ParseLock(path string, data []byte) (*Lock, error) {
	var l Lock
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&l)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("something follows the lock")
		}
	}
	if err == nil {
		err = l.check()
	}
	if err != nil {
		return nil, fault.Errorf(fault.Usage, "lock file %s: %w", path, err)
	}
	return &l, nil
}

func (l *Lock) check() error {
	if l.Format != LockFormat {
		return fmt.Errorf("ashlar_lock is %d; this pkgtool reads format %d", l.Format, LockFormat)
	}
	if l.Arch != Arch {
		return fmt.Errorf("it is for %q; this system is %s", l.Arch, Arch)
	}
	for i, p := range l.Packages {
		if err := version.CheckName(p.Name); err != nil {
			return err
		}
		switch sum, err := hex.DecodeString(p.Manifest); {
		case p.Version.Semver == nil || p.Version.Release == 0:
			return fmt.Errorf("package %s has no complete version", p.Name)
		case err != nil || len(sum) != 32 || hex.EncodeToString(sum) != p.Manifest:
			return fmt.Errorf("package %s: manifest_sha256 is not 64 lower-case hexadecimal digits", &p)
		case p.Arch != Arch && p.Arch != "noarch":
			return fmt.Errorf("package %s is for %q", &p, p.Arch)
		case i > 0 && compareLocked(l.Packages[i-1], p) >= 0:
			return fmt.Errorf("package %s is not in order of name and version, or is there twice", &p)
		}
	}
	return nil
}
