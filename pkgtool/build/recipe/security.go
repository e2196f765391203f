package recipe

import (
	"regexp"

	"ashlar/pkgtool/version"
)

// vulnerabilityID is a name that vulnerability databases give: CVE-2022-37434,
// GHSA-jfh8-c2jp-5v3q.
var vulnerabilityID = regexp.MustCompile(`^[A-Z][A-Z0-9]*(-[A-Za-z0-9]+)+$`)

// validateSecurity checks what the recipe says of vulnerabilities: publishing
// makes advisories of it.
func (r *Recipe) validateSecurity(p *problems) {
	if r.Security == nil {
		return
	}
	seen := map[string]bool{}
	check := func(id string, at path) {
		if !vulnerabilityID.MatchString(id) {
			p.add(at.with("id"), "%q is not a vulnerability's name, such as CVE-2022-37434", id)
		}
		if seen[id] {
			p.add(at.with("id"), "%s stands twice", id)
		}
		seen[id] = true
	}
	for i, f := range r.Security.Fixed {
		at := path{"security", "fixed", i}
		check(f.ID, at)
		in, err := version.Parse(f.In)
		switch {
		case err != nil:
			p.add(at.with("in"), "%q is no version with a release, such as 1.2.13-1: %v", f.In, err)
		case r.Release > 0 && r.Version != "" && in.Compare(r.EVR()) > 0:
			p.add(at.with("in"), "%s is newer than the recipe, which makes %s", f.In, r.EVR())
		}
	}
	for i, n := range r.Security.NotAffected {
		at := path{"security", "not-affected", i}
		check(n.ID, at)
		if n.Reason == "" {
			p.add(at, "say why %s does not concern us", n.ID)
		}
	}
}
