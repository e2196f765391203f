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

// Change is one thing that differs between two actions of a recipe.
type Change struct {
	Field string `json:"field"`          // behaviour, variable, steps, settings, patch, file, source, package, seed layer, packing
	Name  string `json:"name,omitempty"` // of the variable, patch, ...
	How   string `json:"how"`            // changed, is new, is gone
	From  string `json:"from,omitempty"` // value or digest
	To    string `json:"to,omitempty"`

	// A package that changed is of this recipe, and differs because of these.
	Recipe  string   `json:"recipe,omitempty"`
	Because []Change `json:"because,omitempty"`
}

// String says it in a few words.
func (c Change) String() string {
	switch c.Field {
	case "behaviour":
		return fmt.Sprintf("pkgtool builds differently (%s, %s)", c.From, c.To)
	case "variable":
		return "variable " + c.Name
	case "steps", "settings":
		return c.Field
	case "packing":
		return "its files are divided differently"
	case "unknown":
		return "an earlier build of it is no longer known"
	}
	return fmt.Sprintf("%s %s %s", c.Field, c.Name, c.How)
}

// explain lists in words what differs between two actions.
func explain(old, now *action) []string {
	var why []string
	for _, c := range changes(old, now) {
		why = append(why, c.String())
	}
	return why
}

// changes lists what differs between two actions.
func changes(old, now *action) []Change {
	var list []Change
	add := func(c Change) { list = append(list, c) }
	if old.Behaviour != now.Behaviour {
		add(Change{Field: "behaviour", How: "changed", From: fmt.Sprint(old.Behaviour), To: fmt.Sprint(now.Behaviour)})
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
			add(Change{Field: "variable", Name: name, How: "changed", From: old.Env[name], To: now.Env[name]})
		}
	}
	if key(old.Commands) != key(now.Commands) {
		add(Change{Field: "steps", How: "changed"})
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
				add(Change{Field: l.what, Name: d.Name, How: "is new", To: d.Digest})
			case l.old[i].Digest != d.Digest:
				add(Change{Field: l.what, Name: d.Name, How: "changed", From: l.old[i].Digest, To: d.Digest})
			}
		}
		for _, o := range l.old {
			if !slices.ContainsFunc(l.now, func(d digested) bool { return d.Name == o.Name }) {
				add(Change{Field: l.what, Name: o.Name, How: "is gone", From: o.Digest})
			}
		}
	}
	if len(list) == 0 && key(old) != key(now) {
		add(Change{Field: "settings", How: "changed"}) // what has no words of its own
	}
	return list
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
	Recipe  string   `json:"recipe"`
	Cached  bool     `json:"cached"`
	Why     []string `json:"why"`
	Changes []Change `json:"changes"` // since the last build
}

// Why says, for the named recipes and what they need, which would be built by
// the next Build and what changed since their last one. It builds nothing.
func (e *Engine) Why(ctx context.Context, names []string) ([]Explanation, error) {
	var all []Explanation
	h := &history{cache: e.Cache}
	err := e.walk(ctx, names, func(c *current) error {
		x := Explanation{Recipe: c.recipe.Name, Why: []string{}, Changes: []Change{}}
		switch {
		case c.needs != "":
			x.Why = append(x.Why, "it needs "+c.needs+", which is built first")
		case c.result != nil:
			x.Cached = true
		case e.Cache.exists("installed", c.recipe.Name+"-"+c.actionKey+".json"):
			x.Why = append(x.Why, "only its packages are divided again")
		default:
			x.Why = append(x.Why, e.whyStarted(c.recipe, c.action))
			var last action
			if e.Cache.readJSON(&last, "last", c.recipe.Name+".json") {
				x.Changes = h.follow(changes(&last, c.action), 0)
			}
		}
		all = append(all, x)
		return nil
	})
	return all, err
}

// WhyLast says why the last build of a recipe was not the one before it: what
// differs between the actions of the two results that were used last.
func (e *Engine) WhyLast(name string) ([]Change, error) {
	h := &history{cache: e.Cache}
	if err := h.load(); err != nil {
		return nil, err
	}
	var actions []*action
	for _, r := range h.results {
		if r.Recipe != name || len(actions) == 1 && key(actions[0]) == r.Action {
			continue
		}
		var a action
		if e.Cache.readJSON(&a, "actions", r.Action+".json") {
			if actions = append(actions, &a); len(actions) == 2 {
				return h.follow(changes(actions[1], actions[0]), 0), nil
			}
		}
	}
	return []Change{{Field: "unknown", How: "is gone"}}, nil
}
