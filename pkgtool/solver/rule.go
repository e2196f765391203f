package solver

import (
	"fmt"

	"ashlar/pkgtool/version"
)

// rule says where a clause comes from, for explanations.
type rule struct {
	kind       ruleKind
	pkg, other *Package
	dependency version.Dependency
	name       string
}

type ruleKind int

const (
	ruleInternal   ruleKind = iota // bookkeeping that no explanation needs
	ruleInstall                    // the request asks for dependency
	ruleRemove                     // the request removes name
	ruleHold                       // pkg, or the absence of name, is held
	ruleRequires                   // pkg needs dependency
	ruleConflicts                  // pkg conflicts with dependency, which other is
	ruleReplaces                   // pkg replaces dependency, which other is
	ruleOneVersion                 // pkg and other have the same name
)

// text returns what the rule says about some versions of its package.
func (r rule) text(versions []string, pl *pool) string {
	who, s := "", "s"
	if len(versions) > 0 {
		who = r.pkg.Name + " " + enumerate(versions)
	}
	if len(versions) > 1 {
		s = ""
	}
	switch r.kind {
	case ruleInstall:
		return fmt.Sprintf("you ask for %s%s", r.dependency, pl.missing(r.dependency))
	case ruleRemove:
		return "you ask to remove " + r.name
	case ruleHold:
		if r.pkg == nil {
			return fmt.Sprintf("you hold %s, which is not installed", r.name)
		}
		return "you hold " + r.pkg.String()
	case ruleRequires:
		return fmt.Sprintf("%s need%s %s%s", who, s, r.dependency, pl.missing(r.dependency))
	case ruleConflicts:
		return fmt.Sprintf("%s conflict%s with %s%s", who, s, r.dependency, r.standsFor())
	case ruleReplaces:
		return fmt.Sprintf("%s replace%s %s", who, s, r.dependency)
	case ruleOneVersion:
		return fmt.Sprintf("only one version of %s can be installed", r.pkg.Name)
	}
	return ""
}

// standsFor names the other package where the dependency does not.
func (r rule) standsFor() string {
	if r.other.Name == r.dependency.Name {
		return ""
	}
	return fmt.Sprintf(" (which %s provides)", r.other)
}

// missing says why nothing fulfils d, or "" if something does.
func (pl *pool) missing(d version.Dependency) string {
	if len(pl.satisfying(d)) > 0 {
		return ""
	}
	versions := map[string]bool{}
	var there []string
	for _, list := range [][]*Package{pl.byName[d.Name], pl.providers[d.Name]} {
		for _, p := range list {
			if text := p.Version.String(); p.Name == d.Name && !versions[text] {
				versions[text] = true
				there = append(there, text)
			} else if p.Name != d.Name && !versions[p.String()] {
				versions[p.String()] = true
				there = append(there, p.String())
			}
		}
	}
	if len(there) == 0 {
		return ", which no package provides"
	}
	return fmt.Sprintf(", but there is only %s", enumerate(there))
}

// enumerate joins a few texts and counts the rest.
func enumerate(texts []string) string {
	const most = 4
	rest := len(texts) - most
	if rest > 1 {
		texts = append(texts[:most:most], fmt.Sprintf("%d more", rest))
	}
	joined := texts[0]
	for i, text := range texts[1:] {
		if i == len(texts)-2 {
			joined += " and " + text
		} else {
			joined += ", " + text
		}
	}
	return joined
}
