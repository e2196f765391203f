package build

import (
	"context"

	"ashlar/pkgtool/build/recipe"
)

// current is how a recipe stands: what would build it, and what did.
type current struct {
	recipe    *recipe.Recipe
	action    *action
	actionKey string
	resultKey string
	result    *result // nil: not in the cache
	linked    bool    // it was made with libraries of other code
	needs     string  // a recipe before it that is not in the cache, which leaves the rest unknown; else ""
}

// walk tells fn of the named recipes and what they need, in build order, how
// each stands. It builds nothing.
func (e *Engine) walk(ctx context.Context, names []string, fn func(c *current) error) error {
	order, before, err := e.Tree.Order(names, e.Seed)
	if err != nil {
		return err
	}
	e.digests = e.Cache.openDigests()
	s := newSchedule(e, order, before)
	for _, r := range order {
		c := &current{recipe: r}
		for _, b := range before[r] {
			if s.outcomes[b] == nil {
				c.needs = b.Name
				break
			}
		}
		if c.needs == "" {
			root, err := e.resolveRoot(r, newUniverse(s.available(r)))
			if err != nil {
				return err
			}
			if err := e.stand(ctx, c, root); err != nil {
				return err
			}
			if c.result != nil {
				if s.outcomes[r], err = e.outcome(ctx, r, c.result, true, nil); err != nil {
					return err
				}
			}
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return e.digests.save()
}

// stand fills in the keys of a recipe in a root, and its result.
func (e *Engine) stand(ctx context.Context, c *current, root *buildRoot) error {
	a, err := e.action(c.recipe, root)
	if err != nil {
		return err
	}
	c.action, c.actionKey = a, key(a)
	spec, err := e.packaging(c.recipe, root, c.actionKey)
	if err != nil {
		return err
	}
	c.resultKey = key(spec)
	hit, err := e.lookup(ctx, c.recipe, root, a, spec, c.resultKey)
	c.result, c.linked = hit.result, hit.linked
	return err
}

// SharedReport says what a push or a look at the shared cache came to.
type SharedReport struct {
	Recipes  int      `json:"recipes"`  // looked at
	Local    []string `json:"local"`    // in the cache of this host
	Shared   []string `json:"shared"`   // in the shared one, with signatures that count
	Pushed   []string `json:"pushed"`   // given to it now
	Unbuilt  []string `json:"unbuilt"`  // in neither, or unknown because of what they need
	Problems []string `json:"problems"` // what is wrong with entries
}

// PushAll gives the results of the named recipes and of what they need to the
// shared cache, which must be set to push. It builds nothing; recipes that are
// not in the cache of this host, or that somebody else built, are left out.
func (e *Engine) PushAll(ctx context.Context, names []string) (*SharedReport, error) {
	rep := newSharedReport()
	return rep, e.walk(ctx, names, func(c *current) error {
		rep.Recipes++
		if c.result == nil {
			rep.Unbuilt = append(rep.Unbuilt, c.recipe.Name)
			return nil
		}
		rep.Local = append(rep.Local, c.recipe.Name)
		if c.result.From != "" || c.linked {
			return nil
		}
		pushed, err := e.push(ctx, c.recipe, c.actionKey, c.resultKey, c.result)
		if pushed {
			rep.Pushed = append(rep.Pushed, c.recipe.Name)
			e.report(Event{Kind: Pushed, Recipe: c.recipe.Name, Text: e.Shared.Store.String()})
		}
		return err
	})
}

// LookShared says which results both caches have.
func (e *Engine) LookShared(ctx context.Context, names []string) (*SharedReport, error) {
	rep := newSharedReport()
	return rep, e.walk(ctx, names, func(c *current) error {
		rep.Recipes++
		shared := false
		if c.needs == "" && e.Shared != nil {
			var err error
			if shared, err = e.isShared(ctx, c.resultKey, rep); err != nil {
				return err
			}
		}
		if c.result != nil {
			rep.Local = append(rep.Local, c.recipe.Name)
		}
		if shared {
			rep.Shared = append(rep.Shared, c.recipe.Name)
		}
		if c.result == nil && !shared {
			rep.Unbuilt = append(rep.Unbuilt, c.recipe.Name)
		}
		return nil
	})
}

func newSharedReport() *SharedReport {
	return &SharedReport{Local: []string{}, Shared: []string{}, Pushed: []string{}, Unbuilt: []string{}, Problems: []string{}}
}
