package advisory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/version"
)

// Ecosystem is what OSV documents call our packages. A channel may follow, after
// a colon: "Ashlar:stable".
const Ecosystem = "Ashlar"

// MaxSize is the most bytes that one document may have.
const MaxSize = 1 << 20

// Advisory is one OSV document, as far as we read it.
type Advisory struct {
	ID         string      `json:"id"`
	Modified   time.Time   `json:"modified"`
	Published  time.Time   `json:"published,omitzero"`
	Withdrawn  time.Time   `json:"withdrawn,omitzero"`
	Aliases    []string    `json:"aliases,omitempty"` // CVE-2026-1234
	Upstream   []string    `json:"upstream,omitempty"`
	Summary    string      `json:"summary,omitempty"`
	Details    string      `json:"details,omitempty"`
	Severity   []Severity  `json:"severity,omitempty"`
	Affected   []Affected  `json:"affected"`
	References []Reference `json:"references,omitempty"`

	raw []byte
}

// Severity is a score, such as a CVSS vector.
type Severity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

// Reference is a page that says more.
type Reference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

// Affected says which builds of one package are affected.
type Affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Ranges   []Range  `json:"ranges,omitempty"`
	Versions []string `json:"versions,omitempty"` // besides the ranges
}

// Range is a list of events in the order of versions.
type Range struct {
	Type   string  `json:"type"` // ECOSYSTEM or SEMVER; GIT says nothing of packages
	Events []Event `json:"events"`
}

// Event is a version at which something changes; one field is set.
type Event struct {
	Introduced   string `json:"introduced,omitempty"` // "0" is before all
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"last_affected,omitempty"`
	Limit        string `json:"limit,omitempty"`
}

// The schema's identifiers, without what could be taken for a path.
var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:+-]+$`)

const maxIdentifier = 128 // bytes

// Parse reads an OSV document. It must say something of our packages, and all
// that it says of them must be understood; fields that are not ours are kept.
func Parse(data []byte) (*Advisory, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("an advisory has at most %d bytes", MaxSize)
	}
	a := &Advisory{}
	if err := json.Unmarshal(data, a); err != nil {
		return nil, err
	}
	if len(a.ID) > maxIdentifier || !identifier.MatchString(a.ID) {
		return nil, fmt.Errorf("id %.80q is not an OSV identifier", a.ID)
	}
	if a.Modified.IsZero() {
		return nil, fmt.Errorf("advisory %s has no time in modified", a.ID)
	}
	ours := false
	for i := range a.Affected {
		if !a.Affected[i].ours() {
			continue
		}
		ours = true
		if err := a.Affected[i].check(); err != nil {
			return nil, fmt.Errorf("advisory %s: %w", a.ID, err)
		}
	}
	if !ours {
		return nil, fmt.Errorf("advisory %s says nothing of ecosystem %s; it would never match a package", a.ID, Ecosystem)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return nil, err
	}
	a.raw = compact.Bytes()
	return a, nil
}

// JSON is the document as its author wrote it, on one line.
func (a *Advisory) JSON() []byte { return a.raw }

// MarshalJSON returns the whole document.
func (a *Advisory) MarshalJSON() ([]byte, error) { return a.raw, nil }

// Packages are the names of our packages that the advisory is about, sorted.
func (a *Advisory) Packages() []string {
	var names []string
	for i := range a.Affected {
		if a.Affected[i].ours() {
			names = append(names, a.Affected[i].Package.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Affects reports whether a build of a package is affected, and the first
// build that is not, "" when there is none yet.
func (a *Advisory) Affects(name string, v version.Version) (affected bool, fixed string) {
	if !a.Withdrawn.IsZero() {
		return false, ""
	}
	for i := range a.Affected {
		f := &a.Affected[i]
		if !f.ours() || f.Package.Name != name {
			continue
		}
		for _, r := range f.Ranges {
			if hit, until := r.contains(v); hit {
				return true, until
			}
		}
		for _, text := range f.Versions {
			if bound, err := parseBound(text); err == nil && bound.compare(v) == 0 {
				return true, ""
			}
		}
	}
	return false, ""
}

func (f *Affected) ours() bool {
	name, _, _ := strings.Cut(f.Package.Ecosystem, ":")
	return name == Ecosystem
}

func (f *Affected) check() error {
	if err := version.CheckName(f.Package.Name); err != nil {
		return err
	}
	for _, text := range f.Versions {
		if _, err := parseBound(text); err != nil {
			return fmt.Errorf("package %s: versions: %w", f.Package.Name, err)
		}
	}
	for _, r := range f.Ranges {
		if r.Type == "GIT" {
			continue
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("package %s: %w", f.Package.Name, err)
		}
	}
	if len(f.Ranges) == 0 && len(f.Versions) == 0 {
		return fmt.Errorf("package %s: neither ranges nor versions are given", f.Package.Name)
	}
	return nil
}
