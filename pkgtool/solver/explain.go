package solver

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

// Unsolvable says why no set of packages fulfils a request. Its class is
// fault.Unsolvable and its remedies are the error's hints.
type Unsolvable struct {
	Reasons  []string // each a clause of "because ..., and ..., and ..."
	So       string   // what follows from all of them together
	Remedies []string // changes of the request that were tried and work
}

// mostReasons bounds how many reasons the text of a refusal has.
const mostReasons = 16

func (u *Unsolvable) Error() string {
	reasons := u.Reasons
	if more := len(reasons) - mostReasons; more > 1 {
		reasons = append(reasons[:mostReasons:mostReasons], fmt.Sprintf("%d more reasons of the kind", more))
	}
	return "because " + strings.Join(reasons, "\n    and ") + "\n     so " + u.So
}

// minimalBudget bounds the conflicts of each attempt to do without a rule. An
// attempt that takes longer counts as failed: the refusal is then correct, if
// perhaps longer than it needs to be.
const minimalBudget = 1000

// minimalWork bounds the clauses looked at in all attempts together.
const minimalWork = 3_000_000

// explain turns a failed search into an [Unsolvable]: a smallest set of rules
// that already exclude each other, told from the request on. When the time is up
// in between, the refusal stands and tells what is known.
func (pr *problem) explain(ctx context.Context) error {
	refuted, rules, err := pr.universe.refute(ctx, pr.request, nil)
	defer refuted.release()
	if err != nil && ctx.Err() == nil {
		return err
	}
	if err != nil {
		refused := &Unsolvable{Reasons: []string{"the rules exclude each other, though the time was up before it was found out which"}, So: "this cannot be done"}
		return fault.Mark(refused, fault.Unsolvable, "allow more time, to be told why")
	}
	u := &Unsolvable{Reasons: refuted.sentences(rules), So: conclusion(rules), Remedies: pr.remedies(ctx, rules)}
	err = fault.Mark(u, fault.Unsolvable, "")
	for _, remedy := range slices.Backward(u.Remedies) {
		err = fault.Mark(err, fault.Unsolvable, remedy)
	}
	return err
}

// refute searches a request together with further clauses, and returns rules
// that exclude each other, told from the request outwards; none if there is a
// solution.
func (u *Universe) refute(ctx context.Context, r *parsed, further func(*problem)) (*problem, []rule, error) {
	pr := encode(u, r, nil, nil, true)
	if further != nil {
		further(pr)
		pr.open(nil)
	}
	if found, err := pr.feasible(ctx); found || err != nil {
		return pr, nil, err
	}
	core := pr.search.core()
	slices.SortStableFunc(core, func(a, b clause) int { return cmp.Compare(pr.keyOf(a), pr.keyOf(b)) })
	core = minimal(ctx, core)
	var rules []rule
	for _, c := range core {
		if c.rule != noRule {
			rules = append(rules, pr.rules[c.rule])
		}
	}
	return pr, inOrder(rules), nil
}

// keyOf orders clauses independently of the universe's order.
func (pr *problem) keyOf(c clause) string {
	if c.rule == noRule {
		return ""
	}
	return pr.rules[c.rule].key()
}

// minimal drops clauses from an unfulfillable set as long as it stays so: many
// at a time first, then one by one. When ctx ends, or after much work, it leaves the
// rest as it is.
func minimal(ctx context.Context, core []clause) []clause {
	work := 0
	for chunk := max(1, len(core)/4); ; chunk /= 2 {
		for i := 0; i < len(core) && work < minimalWork; {
			work += len(core)
			without := slices.Delete(slices.Clone(core), i, min(len(core), i+chunk))
			if fulfillable(ctx, without) {
				i += chunk
			} else {
				core = without
			}
		}
		if chunk == 1 || ctx.Err() != nil || work >= minimalWork {
			return core
		}
	}
}

// fulfillable reports whether all clauses can be fulfilled together, or that
// finding out takes too long.
func fulfillable(ctx context.Context, clauses []clause) bool {
	s := newSearch()
	variables := map[variable]variable{}
	for _, c := range clauses {
		literals := make([]literal, len(c.literals))
		for i, l := range c.literals {
			v, ok := variables[l.variable()]
			if !ok {
				v = s.newVariable()
				variables[l.variable()] = v
			}
			literals[i] = literal(v)<<1 | l&1
		}
		s.add(noRule, literals...)
	}
	possible, err := s.run(ctx, minimalBudget)
	return possible || err != nil
}

// inOrder tells rules from the request outwards: a package's rules follow the
// rule that brought the package in.
func inOrder(rules []rule) []rule {
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
		if !rules[i].bringsIn() {
			return
		}
		for j, next := range rules {
			if next.pkg != nil && next.kind > ruleStays && next.kind != ruleOneVersion && rules[i].leadsTo(next.pkg) {
				tell(j)
			}
		}
	}
	for _, kind := range []ruleKind{ruleInstall, ruleDowngrade, ruleReinstall, ruleRequires, ruleConflicts, ruleReplaces, ruleOneVersion, ruleStays, rulePin, ruleHold, ruleRemove} {
		for i, r := range rules {
			if r.kind == kind {
				tell(i)
			}
		}
	}
	return ordered
}

// bringsIn reports whether the rule is one that makes packages be installed.
func (r rule) bringsIn() bool {
	switch r.kind {
	case ruleInstall, ruleDowngrade, ruleReinstall, ruleRequires, ruleHold, ruleStays:
		return true
	}
	return false
}

// leadsTo reports whether the rule is a reason to install p.
func (r rule) leadsTo(p *Package) bool {
	switch r.kind {
	case ruleHold, ruleReinstall:
		return r.pkg == p
	case ruleStays:
		return r.name == p.Name
	}
	return p.satisfies(r.dependency)
}

// key orders rules of one kind independently of the universe's order.
func (r rule) key() string {
	text := fmt.Sprintf("%02d %s %s", r.kind, r.name, r.dependency)
	for _, p := range []*Package{r.pkg, r.other} {
		if p != nil {
			text += " " + p.String() + " " + p.ID
		}
	}
	return text
}

// sentences words the rules; what several versions of a package have in common
// is told once, and that a held version excludes others goes without saying.
func (pr *problem) sentences(rules []rule) []string {
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
		if r.kind == ruleOneVersion && held[r.name] {
			continue
		}
		if text := r.text(who[group(r)], pr); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

func conclusion(rules []rule) string {
	var asked []string
	for _, r := range rules {
		if text := r.dependency.String(); r.kind == ruleInstall && !slices.Contains(asked, text) {
			asked = append(asked, text)
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

func compareDependency(a, b version.Dependency) int { return strings.Compare(a.String(), b.String()) }
