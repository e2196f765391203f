package solver

import (
	"fmt"
	"strings"

	"ashlar/pkgtool/version"
)

// Package is one package as the solver sees it: a build in a repository, or an
// installed one.
type Package struct {
	Name       string
	Version    version.Version
	Arch       string // "noarch" and "" fit every machine
	Repo       string // where it comes from; may be "" for an installed package
	Priority   int    // its repository's; the highest number is preferred
	Requires   []version.Dependency
	Provides   []version.Provide // besides its own name
	Conflicts  []version.Dependency
	Replaces   []version.Dependency
	Recommends []version.Dependency
	// Supplements names what this package is recommended for: where one of
	// them comes in, this package comes along if it fits.
	Supplements []version.Dependency
	InstallOnly bool   // several versions can be installed side by side
	Vendor      string // who makes it; "" is not known
	Installed   bool
	Requested   bool   // installed because a person asked for it
	ID          string // tells builds of one version apart; a content hash
}

// String returns "name version".
func (p *Package) String() string { return p.Name + " " + p.Version.String() }

// satisfies reports whether p, by its own name or by a provide, fulfils d.
func (p *Package) satisfies(d version.Dependency) bool {
	for alternative := range d.Alternatives() {
		if p.Name == alternative.Name && alternative.Constraint.Allows(p.Version) {
			return true
		}
	}
	for _, provide := range p.Provides {
		if d.SatisfiedBy(provide) {
			return true
		}
	}
	return false
}

// conflictsWith reports whether d, a conflict of p, means q. A package never
// conflicts with its own name.
func (p *Package) conflictsWith(d version.Dependency, q *Package) bool {
	return p.Name != q.Name && q.satisfies(d)
}

// replacesBy reports whether d, which p replaces, means q. Only names count:
// replacing what merely provides something would remove more than was meant.
func (p *Package) replacesBy(d version.Dependency, q *Package) bool {
	if p.Name == q.Name {
		return false
	}
	for alternative := range d.Alternatives() {
		if alternative.Name == q.Name && alternative.Constraint.Allows(q.Version) {
			return true
		}
	}
	return false
}

// replaces reports whether p takes the place of q.
func (p *Package) replaces(q *Package) bool {
	for _, d := range p.Replaces {
		if p.replacesBy(d, q) {
			return true
		}
	}
	return false
}

// excludes reports whether p and q, two builds of one name, cannot be installed
// together: all but different versions of an install-only package.
func (p *Package) excludes(q *Package) bool {
	return !p.InstallOnly || !q.InstallOnly || p.Version.Compare(q.Version) == 0
}

// fits reports whether p can be installed on a machine; "" is any machine.
func (p *Package) fits(arch string) bool {
	return arch == "" || p.Arch == arch || p.Arch == "noarch" || p.Arch == "" || p.Installed
}

// fingerprint is a text of all that p states. It orders packages that differ in
// nothing else.
func (p *Package) fingerprint() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %t %t %q", p.Vendor, p.InstallOnly, p.Requested, p.Provides)
	for _, list := range [][]version.Dependency{p.Requires, p.Conflicts, p.Replaces, p.Recommends, p.Supplements} {
		fmt.Fprintf(&b, " %q", list)
	}
	return b.String()
}
