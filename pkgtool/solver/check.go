package solver

import (
	"errors"
	"fmt"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

// Check is [Universe.Check] for a universe that is not indexed.
func Check(universe []*Package, request Request, s *Solution) error {
	return NewUniverse(universe).Check(request, s)
}

// checkInstalled refuses a system that cannot be: two builds of one name that are
// not made to be side by side.
func (u *Universe) checkInstalled() error {
	for n, i := range u.installed { // in order of names
		p := u.packages[i]
		for at := n - 1; at >= 0 && u.packages[u.installed[at]].Name == p.Name; at-- {
			if q := u.packages[u.installed[at]]; p.excludes(q) {
				return fault.Mark(fmt.Errorf("%s and %s are both installed, and %s is not install-only", q, p, p.Name), fault.Usage, "")
			}
		}
	}
	return nil
}

// checker verifies a solution without the search and its clauses.
type checker struct {
	universe  *Universe
	request   Request
	solution  *Solution
	after     map[string][]*Package // what is installed afterwards, by name
	answering map[string][]*Package // by every name that a package answers to
	wrong     []error
}

// Check verifies that a solution keeps every rule of a request. It shares no
// code with the search, and returns all that is wrong.
func (u *Universe) Check(request Request, s *Solution) error {
	c := &checker{universe: u, request: request, solution: s, after: map[string][]*Package{}, answering: map[string][]*Package{}}
	for _, p := range s.Installed() {
		c.after[p.Name] = append(c.after[p.Name], p)
		c.answering[p.Name] = append(c.answering[p.Name], p)
		for _, provide := range p.Provides {
			c.answering[provide.Name] = append(c.answering[provide.Name], p)
		}
	}
	for _, p := range s.Installed() {
		c.checkPackage(p)
	}
	c.checkRequest()
	c.checkAccount()
	return errors.Join(c.wrong...)
}

func (c *checker) report(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf(format, args...))
}

// someone returns a package that fulfils d and has another name than except.
func (c *checker) someone(d version.Dependency, except string) *Package {
	for alternative := range d.Alternatives() {
		for _, p := range c.answering[alternative.Name] {
			if p.Name != except && p.satisfies(alternative) {
				return p
			}
		}
	}
	return nil
}

func (c *checker) checkPackage(p *Package) {
	for _, q := range c.after[p.Name] {
		if p != q && (!p.InstallOnly || !q.InstallOnly || p.Version.Compare(q.Version) == 0) {
			c.report("%s and %s are both installed", p, q)
		}
	}
	if !slices.ContainsFunc(c.universe.builds.of(c.universe.number(p.Name)), func(i int32) bool { return c.universe.packages[i] == p }) {
		c.report("%s is not in the universe", p)
	}
	if c.request.Arch != "" && !p.Installed && p.Arch != c.request.Arch && p.Arch != "noarch" && p.Arch != "" {
		c.report("%s is for %s", p, p.Arch)
	}
	for _, d := range p.Requires {
		if c.someone(d, "") == nil {
			c.report("%s needs %s, which is missing", p, d)
		}
	}
	for _, d := range p.Conflicts {
		if q := c.someone(d, p.Name); q != nil {
			c.report("%s conflicts with %s", p, q)
		}
	}
	for _, d := range p.Replaces {
		for alternative := range d.Alternatives() {
			for _, q := range c.after[alternative.Name] {
				if q.Name != p.Name && alternative.Constraint.Allows(q.Version) {
					c.report("%s replaces %s, but both are installed", p, q)
				}
			}
		}
	}
	for _, pin := range c.request.Pins {
		if pin.Name == p.Name && !pin.Constraint.Allows(p.Version) {
			c.report("%s is installed, but only %s is allowed", p, pin)
		}
	}
}

func (c *checker) checkRequest() {
	for _, d := range c.request.Install {
		if c.someone(d, "") == nil {
			c.report("%s was asked for and is missing", d)
		}
	}
	for _, text := range c.request.Remove {
		d, err := parseBuilds(text)
		for _, p := range c.after[d.Name] {
			if err == nil && d.Constraint.Allows(p.Version) {
				c.report("%s was to be removed and is there", p)
			}
		}
	}
	before := map[string][]*Package{}
	for _, p := range c.universe.before {
		before[p.Name] = append(before[p.Name], p)
	}
	for _, name := range c.request.Hold {
		if len(before[name]) != len(c.after[name]) || slices.ContainsFunc(before[name], func(p *Package) bool { return !slices.Contains(c.after[name], p) }) {
			c.report("%s is held but changes", name)
		}
	}
	for _, text := range c.request.Downgrade {
		d, err := parseBuilds(text)
		older := slices.ContainsFunc(c.after[d.Name], func(p *Package) bool {
			return d.Constraint.Allows(p.Version) && slices.ContainsFunc(before[d.Name], func(q *Package) bool { return p.Version.Compare(q.Version) < 0 })
		})
		if err != nil || !older {
			c.report("%s was to become older and is not", text)
		}
	}
	for _, name := range c.request.Reinstall {
		for _, p := range before[name] {
			again := slices.ContainsFunc(slices.Concat(c.solution.Reinstall, c.solution.Upgrade), func(s Step) bool {
				return s.From == p && s.Package.Name == name && s.Package.Arch == p.Arch && s.Package.Version.Compare(p.Version) == 0
			})
			if !again {
				c.report("%s was to be reinstalled and is not", p)
			}
		}
	}
}

// checkAccount verifies that every installed package is kept, changed or
// removed, and that nothing else is.
func (c *checker) checkAccount() {
	s := c.solution
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
	for _, p := range c.universe.before {
		if gone[p] != 1 {
			c.report("%s, which is installed, is accounted for %d times", p, gone[p])
		}
		delete(gone, p)
	}
	for p := range gone {
		c.report("%s is not installed and yet kept or removed", p)
	}
	for _, step := range s.Reinstall {
		if step.Package.Name != step.From.Name || !slices.Contains(s.Keep, step.From) {
			c.report("%s is to be reinstalled but is not kept", step.From)
		}
	}
}
