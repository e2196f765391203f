package build

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
)

// whyStarted says in a few words why a recipe is built.
func (e *Engine) whyStarted(r *recipe.Recipe, a *action) string {
	var last action
	if !e.Cache.readJSON(&last, "last", r.Name+".json") {
		return "first build"
	}
	why := explain(&last, a)
	if len(why) == 0 {
		return "its files are no longer in the cache"
	}
	if len(why) > 3 {
		why = append(why[:3], fmt.Sprintf("%d more", len(why)-3))
	}
	return strings.Join(why, ", ")
}

// explain lists in words what differs between two actions.
func explain(old, now *action) []string {
	var why []string
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if old.Behaviour != now.Behaviour {
		add("pkgtool builds differently (%d, %d)", old.Behaviour, now.Behaviour)
	}
	names := map[string]bool{}
	for name := range old.Env {
		names[name] = true
	}
	for name := range now.Env {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if old.Env[name] != now.Env[name] {
			add("variable %s", name)
		}
	}
	if key(old.Commands) != key(now.Commands) {
		add("steps")
	}
	if old.Strip != now.Strip || old.Debug != now.Debug || old.Arch != now.Arch {
		add("settings")
	}
	for _, l := range []struct {
		what     string
		old, now []digested
	}{
		{"patch", patchDigests(old), patchDigests(now)}, {"file", old.Files, now.Files},
		{"source", sourceDigests(old), sourceDigests(now)},
		{"package", old.Root, now.Root}, {"seed layer", old.Seed, now.Seed},
	} {
		for _, d := range l.now {
			switch i := slices.IndexFunc(l.old, func(o digested) bool { return o.Name == d.Name }); {
			case i < 0:
				add("%s %s is new", l.what, d.Name)
			case l.old[i].Digest != d.Digest:
				add("%s %s changed", l.what, d.Name)
			}
		}
		for _, o := range l.old {
			if !slices.ContainsFunc(l.now, func(d digested) bool { return d.Name == o.Name }) {
				add("%s %s is gone", l.what, o.Name)
			}
		}
	}
	return why
}

func patchDigests(a *action) []digested {
	var list []digested
	for _, p := range a.Patches {
		list = append(list, digested{p.Name, key(p)})
	}
	return list
}

func sourceDigests(a *action) []digested {
	var list []digested
	for _, s := range a.Sources {
		list = append(list, digested{s.ID, key(s)})
	}
	return list
}

// Explanation says whether and why a recipe would be built.
type Explanation struct {
	Recipe string   `json:"recipe"`
	Cached bool     `json:"cached"`
	Why    []string `json:"why"`
}

// Why says, for the named recipes and what they need, which would be built by
// the next Build and what changed since their last one. It builds nothing.
func (e *Engine) Why(ctx context.Context, names []string) ([]Explanation, error) {
	var all []Explanation
	err := e.walk(ctx, names, func(c *current) error {
		x := Explanation{Recipe: c.recipe.Name, Why: []string{}}
		switch {
		case c.needs != "":
			x.Why = append(x.Why, "it needs "+c.needs+", which is built first")
		case c.result != nil:
			x.Cached = true
		case e.Cache.exists("installed", c.recipe.Name+"-"+c.actionKey+".json"):
			x.Why = append(x.Why, "only its packages are divided again")
		default:
			x.Why = append(x.Why, e.whyStarted(c.recipe, c.action))
		}
		all = append(all, x)
		return nil
	})
	return all, err
}
