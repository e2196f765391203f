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

type ruleKind uint8

const (
	ruleInstall    ruleKind = iota // the request asks for dependency
	ruleRemove                     // the request removes pkg
	ruleDowngrade                  // the request asks for an older name
	ruleReinstall                  // the request asks for pkg again
	ruleHold                       // pkg, or the absence of name, is held
	rulePin                        // the request allows dependency only, which pkg is not
	ruleStays                      // pkg, which is installed, shall not go
	ruleRequires                   // pkg needs dependency
	ruleConflicts                  // pkg conflicts with dependency, which other is
	ruleReplaces                   // pkg replaces dependency, which other is
	ruleOneVersion                 // there is one build of name at most
)

// text returns what the rule says about some versions of its package.
func (r rule) text(versions []string, pr *problem) string {
	who, s := "", "s"
	if len(versions) > 0 {
		who = r.pkg.Name + " " + enumerate(versions)
	}
	if len(versions) > 1 {
		s = ""
	}
	switch r.kind {
	case ruleInstall:
		return fmt.Sprintf("you ask for %s%s", r.dependency, pr.missing(r.dependency))
	case ruleRemove:
		return "you ask to remove " + r.name
	case ruleDowngrade:
		return fmt.Sprintf("you ask for an older %s%s", r.dependency, pr.noneOlder(r.dependency))
	case ruleReinstall:
		return fmt.Sprintf("you ask to reinstall %s%s", who, pr.noCopy(r.pkg))
	case ruleHold:
		if r.pkg == nil {
			return fmt.Sprintf("you hold %s, which is not installed", r.name)
		}
		return fmt.Sprintf("you hold %s", who)
	case rulePin:
		return fmt.Sprintf("you allow no %s but %s", r.dependency.Name, r.dependency)
	case ruleStays:
		return fmt.Sprintf("%s shall not be removed", r.name)
	case ruleRequires:
		return fmt.Sprintf("%s need%s %s%s", who, s, r.dependency, pr.missing(r.dependency))
	case ruleConflicts:
		return fmt.Sprintf("%s conflict%s with %s%s", who, s, r.dependency, r.standsFor())
	case ruleReplaces:
		return fmt.Sprintf("%s replace%s %s", who, s, r.dependency)
	default:
		return fmt.Sprintf("only one version of %s can be installed", r.name)
	}
}

// standsFor names the other package where the dependency does not.
func (r rule) standsFor() string {
	if r.other == nil {
		return ""
	}
	for alternative := range r.dependency.Alternatives() {
		if alternative.Name == r.other.Name {
			return ""
		}
	}
	return fmt.Sprintf(" (which %s provides)", r.other)
}

// missing says why nothing fulfils d, or "" if something does.
func (pr *problem) missing(d version.Dependency) string {
	seen := map[string]bool{}
	var there []string
	foreign := ""
	for alternative := range d.Alternatives() {
		key := pr.universe.number(alternative.Name)
		if key < 0 {
			continue
		}
		for _, list := range [][]int32{pr.universe.builds.of(key), pr.universe.providers.of(key)} {
			for _, i := range list {
				p := pr.universe.packages[i]
				text := p.String()
				if p.Name == d.Name && len(d.Or) == 0 {
					text = p.Version.String()
				}
				switch {
				case !p.fits(pr.request.Arch):
					if p.satisfies(alternative) {
						foreign = p.Arch
					}
				case p.satisfies(alternative):
					return ""
				case !seen[text]:
					seen[text] = true
					there = append(there, text)
				}
			}
		}
	}
	switch {
	case foreign != "" && len(there) == 0:
		return fmt.Sprintf(", which there is for %s only", foreign)
	case len(there) == 0:
		return ", which no package provides"
	default:
		return fmt.Sprintf(", but there is only %s", enumerate(there))
	}
}

func (pr *problem) noneOlder(d version.Dependency) string {
	if len(pr.older(d)) > 0 {
		return ""
	}
	return fmt.Sprintf(" than %s, which no repository has", pr.universe.newestInstalled(d.Name).Version)
}

func (pr *problem) noCopy(p *Package) string {
	if len(pr.again(p)) > 0 {
		return ""
	}
	return ", which no repository has"
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
