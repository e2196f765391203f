package solver

import "ashlar/pkgtool/version"

// Package is one package as the solver sees it: a build in a repository, or an
// installed one.
type Package struct {
	Name       string
	Version    version.Version
	Arch       string // "noarch" fits every machine
	Repo       string // where it comes from; "" for an installed package
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
	if p.Name == d.Name && d.Constraint.Allows(p.Version) {
		return true
	}
	for _, provide := range p.Provides {
		if d.SatisfiedBy(provide) {
			return true
		}
	}
	return false
}

// replaces reports whether p takes the place of q. Only names count: replacing
// what merely provides something would remove more than was meant.
func (p *Package) replaces(q *Package) bool {
	for _, d := range p.Replaces {
		if d.Name == q.Name && p.Name != q.Name && d.Constraint.Allows(q.Version) {
			return true
		}
	}
	return false
}
