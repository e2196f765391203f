package solver

import (
	"errors"
	"fmt"

	"ashlar/pkgtool/version"
)

// Check verifies, without the search and its clauses, that a solution keeps
// every rule of a request over a universe. It returns all that is wrong.
func Check(universe []*Package, request Request, s *Solution) error {
	var wrong []error
	report := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	after := map[string]*Package{}
	answering := map[string][]*Package{} // by every name a package answers to
	installed := s.Installed()
	known := map[*Package]bool{}
	for _, p := range universe {
		known[p] = true
	}
	for _, p := range installed {
		answering[p.Name] = append(answering[p.Name], p)
		for _, provide := range p.Provides {
			answering[provide.Name] = append(answering[provide.Name], p)
		}
		if after[p.Name] != nil {
			report("%s and %s are both installed", after[p.Name], p)
		}
		after[p.Name] = p
		if !known[p] {
			report("%s is not in the universe", p)
		}
		if request.Arch != "" && !p.Installed && p.Arch != request.Arch && p.Arch != "noarch" {
			report("%s is for %s", p, p.Arch)
		}
	}
	someone := func(d version.Dependency, except string) *Package {
		for _, p := range answering[d.Name] {
			if p.Name != except && p.satisfies(d) {
				return p
			}
		}
		return nil
	}
	for _, p := range installed {
		for _, d := range p.Requires {
			if someone(d, "") == nil {
				report("%s needs %s, which is missing", p, d)
			}
		}
		for _, d := range p.Conflicts {
			if q := someone(d, p.Name); q != nil {
				report("%s conflicts with %s", p, q)
			}
		}
		for _, d := range p.Replaces {
			if q := after[d.Name]; q != nil && p.replaces(q) {
				report("%s replaces %s, but both are installed", p, q)
			}
		}
	}
	checkRequest(universe, request, after, someone, report)
	checkAccount(universe, s, after, report)
	return errors.Join(wrong...)
}

func checkRequest(universe []*Package, request Request, after map[string]*Package, someone func(version.Dependency, string) *Package, report func(string, ...any)) {
	for _, d := range request.Install {
		if someone(d, "") == nil {
			report("%s was asked for and is missing", d)
		}
	}
	for _, name := range request.Remove {
		if after[name] != nil {
			report("%s was to be removed and is there", name)
		}
	}
	for _, name := range request.Hold {
		var held *Package
		for _, p := range universe {
			if p.Installed && p.Name == name {
				held = p
			}
		}
		if after[name] != held {
			report("%s is held but changes", name)
		}
	}
}

// checkAccount verifies that every installed package is kept, changed or
// removed, and that nothing else is.
func checkAccount(universe []*Package, s *Solution, after map[string]*Package, report func(string, ...any)) {
	gone := map[*Package]int{}
	for _, step := range s.Remove {
		gone[step.Package]++
	}
	for _, step := range s.Upgrade {
		gone[step.From]++
	}
	for _, p := range s.Keep {
		gone[p]++
	}
	for _, p := range universe {
		switch {
		case p.Installed && gone[p] != 1:
			report("%s, which is installed, is accounted for %d times", p, gone[p])
		case !p.Installed && gone[p] != 0:
			report("%s is not installed and yet kept or removed", p)
		}
	}
	for _, step := range s.Remove {
		if after[step.Package.Name] != nil {
			report("%s is removed and installed", step.Package.Name)
		}
	}
}
