package solver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"

	"github.com/agext/levenshtein"
)

// Unsolvable says why no set of packages fulfils a request. Its class is
// fault.Unsolvable and its remedies are the error's hints.
type Unsolvable struct {
	Reasons  []string // each a clause of "because ..., and ..., and ..."
	So       string   // what follows from all of them together
	Remedies []string // changes of the request that were tried and work
}

func (u *Unsolvable) Error() string {
	return "because " + strings.Join(u.Reasons, "\n    and ") + "\n     so " + u.So
}

// explain turns a failed search into an [Unsolvable]: the smallest set of
// rules that already excludes each other, told from the request on.
func (pr *problem) explain(ctx context.Context, universe []*Package) error {
	core, err := minimal(ctx, len(pr.search.assigned), pr.search.core())
	if err != nil {
		return err
	}
	var rules []rule
	for _, c := range core {
		rules = append(rules, c.rule)
	}
	rules = pr.inOrder(rules)
	u := &Unsolvable{Reasons: pr.sentences(rules, newPool(universe, pr.request.Arch)), So: conclusion(rules), Remedies: pr.remedies(ctx, rules, universe)}
	err = fault.Mark(u, fault.Unsolvable, "")
	for _, remedy := range slices.Backward(u.Remedies) {
		err = fault.Mark(err, fault.Unsolvable, remedy)
	}
	return err
}

// minimal drops clauses from an unfulfillable set as long as it stays so.
func minimal(ctx context.Context, variables int, core []clause) ([]clause, error) {
	for i := 0; i < len(core); {
		without := slices.Delete(slices.Clone(core), i, i+1)
		s := newSearch()
		for range variables {
			s.newVariable()
		}
		for _, c := range without {
			s.add(c.rule, slices.Clone(c.literals)...)
			for _, l := range c.literals {
				s.wishes = append(s.wishes, l.variable().no())
			}
		}
		possible, err := s.run(ctx, -1)
		if err != nil {
			return nil, err
		}
		if possible {
			i++
		} else {
			core = without
		}
	}
	return core, nil
}

// inOrder tells rules from the request outwards: a package's rules follow the
// rule that brought the package in.
func (pr *problem) inOrder(rules []rule) []rule {
	slices.SortStableFunc(rules, func(a, b rule) int { return strings.Compare(a.key(), b.key()) })
	var ordered []rule
	told := make([]bool, len(rules))
	var tell func(i int)
	tell = func(i int) {
		if told[i] {
			return
		}
		told[i] = true
		ordered = append(ordered, rules[i])
		if k := rules[i].kind; k != ruleInstall && k != ruleRequires && k != ruleHold {
			return
		}
		for j, next := range rules {
			if next.pkg != nil && rules[i].leadsTo(next.pkg) && next.kind != ruleOneVersion {
				tell(j)
			}
		}
	}
	for _, kind := range []ruleKind{ruleInstall, ruleRequires, ruleConflicts, ruleReplaces, ruleOneVersion, ruleHold, ruleRemove} {
		for i, r := range rules {
			if r.kind == kind {
				tell(i)
			}
		}
	}
	return ordered
}

// leadsTo reports whether the rule is a reason to install p.
func (r rule) leadsTo(p *Package) bool {
	if r.kind == ruleHold {
		return r.pkg == p
	}
	return p.satisfies(r.dependency)
}

// key orders rules of one kind independently of the universe's order.
func (r rule) key() string {
	text := fmt.Sprintf("%d %s %s", r.kind, r.name, r.dependency)
	for _, p := range []*Package{r.pkg, r.other} {
		if p != nil {
			text += " " + p.String() + " " + p.ID
		}
	}
	return text
}

// sentences words the rules; what several versions of a package have in common
// is told once, and that a held version excludes others goes without saying.
func (pr *problem) sentences(rules []rule, everything *pool) []string {
	held := map[string]bool{}
	who := map[string][]string{}
	group := func(r rule) string {
		text := fmt.Sprintf("%d %s", r.kind, r.dependency)
		if r.pkg != nil {
			text += " " + r.pkg.Name
		}
		return text + " " + r.name
	}
	for _, r := range rules {
		if r.kind == ruleHold {
			held[r.name] = true
		}
		if r.pkg != nil {
			if g, v := group(r), r.pkg.Version.String(); !slices.Contains(who[g], v) {
				who[g] = append(who[g], v)
			}
		}
	}
	var texts []string
	for _, r := range rules {
		if r.kind == ruleInternal || r.kind == ruleOneVersion && held[r.pkg.Name] {
			continue
		}
		if text := r.text(who[group(r)], everything); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

func conclusion(rules []rule) string {
	var asked []string
	for _, r := range rules {
		if r.kind == ruleInstall {
			asked = append(asked, r.dependency.String())
		}
	}
	switch len(asked) {
	case 0:
		return "this cannot be done"
	case 1:
		return asked[0] + " cannot be installed"
	default:
		return enumerate(asked) + " cannot be installed together"
	}
}

// remedies tries what a person could take back, one at a time, and returns what
// would help. Where a name is unknown it proposes the nearest one.
func (pr *problem) remedies(ctx context.Context, rules []rule, universe []*Package) []string {
	var remedies []string
	try := func(changed Request, remedy string) {
		pl := newPool(universe, changed.Arch)
		pl.restrict(changed)
		again := encode(pl, changed)
		again.addTiers()
		if found, err := again.search.run(ctx, improveBudget); found && err == nil && !slices.Contains(remedies, remedy) {
			remedies = append(remedies, remedy)
		}
	}
	requests := 0
	for _, r := range rules {
		if r.kind == ruleInstall || r.kind == ruleRemove {
			requests++
		}
	}
	for _, r := range rules {
		changed := pr.request
		switch {
		case r.kind == ruleHold:
			changed.Hold = without(changed.Hold, r.name)
			try(changed, "no longer hold "+r.name)
		case r.kind == ruleRemove && requests > 1:
			changed.Remove = without(changed.Remove, r.name)
			try(changed, "keep "+r.name)
		case r.kind == ruleInstall && requests > 1:
			changed.Install = slices.DeleteFunc(slices.Clone(changed.Install), func(d version.Dependency) bool { return d.String() == r.dependency.String() })
			try(changed, "leave out "+r.dependency.String())
		}
		if r.kind == ruleInstall || r.kind == ruleRequires {
			if near := nearest(r.dependency.Name, universe); near != "" && len(pr.pool.byName[r.dependency.Name]) == 0 && len(pr.pool.satisfying(r.dependency)) == 0 {
				remedies = append(remedies, fmt.Sprintf("did you mean %s?", near))
			}
		}
	}
	return remedies
}

// nearest returns the package name of the universe that is most like name, if
// one is alike enough to be a slip of the finger.
func nearest(name string, universe []*Package) string {
	best, distance := "", 1+len(name)/3
	for _, p := range universe {
		if p.Name == name {
			return "" // it exists; something else is wrong
		}
		if d := levenshtein.Distance(name, p.Name, nil); d < distance || d == distance && best != "" && p.Name < best {
			best, distance = p.Name, d
		}
	}
	return best
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}
