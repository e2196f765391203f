package solver

import (
	"slices"

	"ashlar/pkgtool/version"
)

// problem is a request turned into clauses and wishes.
type problem struct {
	pool     *pool
	request  Request
	search   *search
	variable map[*Package]variable
	tiers    []tier
	best     []truth // the last assignment found, by variable
}

// encode makes the clauses of the rules that a solution must keep.
func encode(pl *pool, request Request) *problem {
	pr := &problem{pool: pl, request: request, search: newSearch(), variable: map[*Package]variable{}}
	for _, p := range pl.packages {
		pr.variable[p] = pr.search.newVariable()
	}
	pr.encodeRequest()
	for _, p := range pl.packages {
		pr.encodePackage(p)
	}
	return pr
}

func (pr *problem) yes(p *Package) literal { return pr.variable[p].yes() }
func (pr *problem) no(p *Package) literal  { return pr.variable[p].no() }

// anyOf returns the literals of which one must be true for d to be fulfilled.
func (pr *problem) anyOf(packages []*Package) []literal {
	var literals []literal
	for _, p := range packages {
		literals = append(literals, pr.yes(p))
	}
	return literals
}

func (pr *problem) encodeRequest() {
	add := pr.search.add
	for _, d := range pr.request.Install {
		add(rule{kind: ruleInstall, dependency: d}, pr.anyOf(pr.pool.named(d))...)
	}
	for _, name := range pr.request.Remove {
		for _, p := range pr.pool.byName[name] {
			add(rule{kind: ruleRemove, name: name}, pr.no(p))
		}
	}
	for _, name := range pr.request.Hold {
		if held := pr.pool.installed[name]; held != nil {
			add(rule{kind: ruleHold, pkg: held, name: name}, pr.yes(held))
			continue
		}
		for _, p := range pr.pool.byName[name] {
			add(rule{kind: ruleHold, name: name}, pr.no(p))
		}
	}
}

func (pr *problem) encodePackage(p *Package) {
	add := pr.search.add
	for _, d := range p.Requires {
		found := pr.pool.satisfying(d)
		if !slices.Contains(found, p) {
			add(rule{kind: ruleRequires, pkg: p, dependency: d}, append(pr.anyOf(found), pr.no(p))...)
		}
	}
	for _, d := range p.Conflicts {
		for _, q := range pr.pool.satisfying(d) {
			if q.Name != p.Name {
				add(rule{kind: ruleConflicts, pkg: p, other: q, dependency: d}, pr.no(p), pr.no(q))
			}
		}
	}
	for _, d := range p.Replaces {
		for _, q := range pr.pool.byName[d.Name] {
			if q.Name != p.Name && d.Constraint.Allows(q.Version) {
				add(rule{kind: ruleReplaces, pkg: p, other: q, dependency: d}, pr.no(p), pr.no(q))
			}
		}
	}
	for _, q := range pr.pool.byName[p.Name] {
		if q == p {
			break
		}
		add(rule{kind: ruleOneVersion, pkg: p, other: q}, pr.no(p), pr.no(q))
	}
}

// newest returns the best build that an upgrade of p can lead to, or nil.
func (pr *problem) newest(p *Package) *Package {
	for _, q := range pr.pool.byName[p.Name] {
		if q.Version.Compare(p.Version) >= 0 {
			return q
		}
	}
	return nil
}

// asked reports whether the request names p.
func (pr *problem) asked(p *Package) bool {
	return slices.ContainsFunc(pr.request.Install, func(d version.Dependency) bool {
		return slices.Contains(pr.pool.named(d), p)
	})
}
