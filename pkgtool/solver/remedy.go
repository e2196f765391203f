package solver

import (
	"context"
	"fmt"
	"slices"

	"ashlar/pkgtool/version"

	"github.com/agext/levenshtein"
)

// remedies tries what a person could take back, one at a time, and returns what
// would help. Where a name is unknown it proposes the nearest one.
func (pr *problem) remedies(ctx context.Context, rules []rule) []string {
	var remedies []string
	offer := func(remedy string) {
		if !slices.Contains(remedies, remedy) {
			remedies = append(remedies, remedy)
		}
	}
	try := func(changed Request, remedy string) {
		if pr.universe.possible(ctx, changed) {
			offer(remedy)
		}
	}
	asked := pr.request
	requests := len(asked.Install) + len(asked.Remove) + len(asked.Upgrade) + len(asked.Downgrade) + len(asked.Reinstall)
	for _, r := range rules {
		changed := pr.request.Request
		switch r.kind {
		case ruleHold:
			changed.Hold = without(changed.Hold, r.name)
			try(changed, "no longer hold "+r.name)
		case rulePin:
			changed.Pins = withoutDependency(changed.Pins, r.dependency)
			try(changed, "allow other versions than "+r.dependency.String())
		case ruleRemove:
			if requests > 1 {
				changed.Remove = slices.DeleteFunc(slices.Clone(changed.Remove), func(text string) bool {
					d, err := parseBuilds(text)
					return err == nil && d.Name == r.pkg.Name
				})
				try(changed, "keep "+r.name)
			}
		case ruleDowngrade:
			if requests > 1 {
				changed.Downgrade = slices.DeleteFunc(slices.Clone(changed.Downgrade), func(text string) bool {
					d, err := parseBuilds(text)
					return err == nil && d.Name == r.dependency.Name
				})
				try(changed, "leave "+r.dependency.Name+" as it is")
			}
		case ruleReinstall:
			if requests > 1 {
				changed.Reinstall = without(changed.Reinstall, r.name)
				try(changed, "leave "+r.name+" as it is")
			}
		case ruleInstall:
			pr.remediesOfInstall(r.dependency, requests > 1, try)
		}
		if near := pr.meant(r); near != "" {
			offer(fmt.Sprintf("did you mean %s?", near))
		}
	}
	return remedies
}

// remediesOfInstall tries to leave a request out, and to ask for any version.
func (pr *problem) remediesOfInstall(d version.Dependency, leaveOut bool, try func(Request, string)) {
	changed := pr.request.Request
	changed.Install = withoutDependency(changed.Install, d)
	if leaveOut {
		try(changed, "leave out "+d.String())
	}
	if !d.Constraint.Any() && len(d.Or) == 0 {
		changed.Install = append(changed.Install, version.Dependency{Name: d.Name})
		try(changed, "ask for any version of "+d.Name)
	}
}

// meant returns the name that was perhaps meant by one that nothing answers to.
func (pr *problem) meant(r rule) string {
	if r.kind != ruleInstall && r.kind != ruleRequires || len(r.dependency.Or) > 0 || len(pr.universe.satisfying(r.dependency)) > 0 {
		return ""
	}
	return pr.universe.nearest(r.dependency.Name)
}

// possible reports whether a request is found to have a solution, in a bounded
// number of steps.
func (u *Universe) possible(ctx context.Context, request Request) bool {
	r, err := request.parse(u)
	if err != nil {
		return false
	}
	pr := encode(u, r, nil, nil, false)
	defer pr.release()
	for round := 0; ; round++ {
		if found, err := pr.search.run(ctx, improveBudget); !found || err != nil {
			return false
		}
		pr.best = slices.Clone(pr.search.assigned)
		closed := pr.closed()
		if len(closed) == 0 {
			return true
		}
		pr.open(pr.along(closed, round))
	}
}

// nearest returns the package name that is most like name, if one is alike
// enough to be a slip of the finger.
func (u *Universe) nearest(name string) string {
	if len(u.builds.of(u.number(name))) > 0 {
		return "" // it exists; something else is wrong
	}
	best, distance := "", 1+len(name)/3
	for i, p := range u.packages {
		if i > 0 && p.Name == u.packages[i-1].Name || len(p.Name) > len(name)+distance || len(name) > len(p.Name)+distance {
			continue
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

func withoutDependency(list []version.Dependency, d version.Dependency) []version.Dependency {
	return slices.DeleteFunc(slices.Clone(list), func(o version.Dependency) bool { return compareDependency(o, d) == 0 })
}
