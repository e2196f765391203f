package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sync/errgroup"
)

// Verification says how recipes are built a second time.
type Verification struct {
	Parallel int // at a time; 0 means 1

	// Again builds a recipe in a place that has everything but its packages.
	Again func(ctx context.Context, r *recipe.Recipe, p *Place) error

	// Seen is the path under which the place sees one of the host; nil where
	// nothing is shown elsewhere.
	Seen func(path string) string

	Keep string            // folder for both packages where they differ; "" keeps none
	Tell func(v *Verified) // is told each result, one at a time; may be nil
}

// Place is a cache for one second build.
type Place struct {
	Dir   string // everything below it is removed in the end
	Cache string // below Dir; the folder that $ASHLAR_CACHE names

	seen func(path string) string
}

// link makes a name in the place for something that stays where it is.
func (p *Place) link(target, name string) error {
	if p.seen != nil {
		target = p.seen(target)
	}
	if err := os.Symlink(target, name); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Verified says whether a recipe gives the same packages again.
type Verified struct {
	Recipe   string            `json:"recipe"`
	Same     bool              `json:"same"`
	Error    string            `json:"error,omitempty"` // why there is nothing to compare
	Seconds  float64           `json:"seconds"`         // of the second build
	Packages []VerifiedPackage `json:"packages"`
}

// VerifiedPackage compares one package of both builds.
type VerifiedPackage struct {
	Package    string              `json:"package"`
	First      string              `json:"first,omitempty"`  // sha256 of the unsigned file; "" where only
	Second     string              `json:"second,omitempty"` // the other build made it
	Same       bool                `json:"same"`
	Difference *pkgfile.Difference `json:"difference,omitempty"`
	Content    []FileDifference    `json:"content,omitempty"`
}

// FileDifference says in what the contents of a file differ.
type FileDifference struct {
	Path string   `json:"path"`
	What []string `json:"what"`
}

// Verify builds the named recipes, or takes them from the cache, and then
// builds each once more, alone and with the same inputs. A recipe that gives
// something else is no error; one that cannot be built the first time is.
func (e *Engine) Verify(ctx context.Context, names []string, v Verification) ([]Verified, error) {
	built, err := e.Build(ctx, names)
	if err != nil {
		return nil, err
	}
	targets, err := e.targets(names)
	if err != nil {
		return nil, err
	}
	results, err := e.resultsOf(built)
	if err != nil {
		return nil, err
	}
	all := make([]Verified, len(targets))
	var telling sync.Mutex
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(max(v.Parallel, 1))
	for i, r := range targets {
		group.Go(func() error {
			x, err := e.verify(within, r, results, v)
			if err != nil {
				return fmt.Errorf("verify %s: %w", r.Name, err)
			}
			all[i] = *x
			if v.Tell != nil {
				telling.Lock()
				defer telling.Unlock()
				v.Tell(x)
			}
			return nil
		})
	}
	return all, group.Wait()
}

// targets are the recipes that names mean: all of the tree when there are none.
func (e *Engine) targets(names []string) ([]*recipe.Recipe, error) {
	if len(names) == 0 {
		names = e.Tree.Names()
	}
	var list []*recipe.Recipe
	for _, name := range names {
		r, err := e.Tree.Recipe(name)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// keptResult is an entry of the cache's results.
type keptResult struct {
	key string
	result
	recipe string
}

// resultsOf returns the results in the cache that consist of packages that a
// build has made or found, by recipe.
func (e *Engine) resultsOf(built []Built) (map[string][]keptResult, error) {
	recipes := map[string]string{}
	for _, b := range built {
		recipes[b.SHA256] = b.Recipe
	}
	all, err := e.Cache.results()
	if err != nil {
		return nil, err
	}
	found := map[string][]keptResult{}
	for _, k := range all {
		for _, p := range k.Packages {
			if k.recipe = recipes[p.SHA256]; k.recipe == "" {
				break
			}
		}
		if k.recipe != "" {
			found[k.recipe] = append(found[k.recipe], k)
		}
	}
	return found, nil
}

// results reads all results, sorted by key.
func (c *Cache) results() ([]keptResult, error) {
	entries, err := os.ReadDir(c.path("results"))
	if err != nil {
		return nil, err
	}
	var all []keptResult
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		k := keptResult{key: name}
		if ok && c.readJSON(&k.result, "results", entry.Name()) {
			all = append(all, k)
		}
	}
	return all, nil
}

// verify builds one recipe a second time and compares.
func (e *Engine) verify(ctx context.Context, r *recipe.Recipe, results map[string][]keptResult, v Verification) (*Verified, error) {
	work, err := e.Cache.newWork("verify-" + r.Name)
	if err != nil {
		return nil, err
	}
	defer work.remove()
	place := &Place{Dir: work.path, Cache: filepath.Join(work.path, "cache"), seen: v.Seen}
	known, err := e.furnish(place, r, results)
	if err != nil {
		return nil, explainDisk(err)
	}
	x := &Verified{Recipe: r.Name, Packages: []VerifiedPackage{}}
	start := time.Now()
	err = v.Again(ctx, r, place)
	x.Seconds = time.Since(start).Seconds()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		x.Error = err.Error()
		return x, nil
	}
	again := &Cache{dir: filepath.Join(place.Cache, "build")}
	first, err := packagesOf(results[r.Name])
	if err != nil {
		return nil, err
	}
	second, err := again.madeThere(known)
	if err != nil {
		return nil, err
	}
	if len(second) == 0 {
		x.Error = "the second build made no packages"
		return x, nil
	}
	if err := e.compare(ctx, x, again, first, second, v.Keep); err != nil {
		return nil, err
	}
	if x.Same {
		k := results[r.Name][0]
		k.From = ""         // now it was built here as well
		if k.Action == "" { // of an older pkgtool
			if k.Action, err = e.Cache.actionOf(&k.result); err != nil {
				return nil, err
			}
		}
		e.pushShared(ctx, r, k.Action, k.key, &k.result)
	}
	return x, nil
}

// packagesOf returns the sha256 of each package of a recipe's result.
func packagesOf(results []keptResult) (map[string]string, error) {
	if len(results) == 0 {
		return nil, errors.New("its result is no longer in the cache; another pkgtool may have removed it")
	}
	sums := map[string]string{}
	for _, p := range results[0].Packages {
		sums[p.Name] = p.SHA256
	}
	return sums, nil
}

// madeThere returns the sha256 of the packages of results that are new.
func (c *Cache) madeThere(known map[string]bool) (map[string]string, error) {
	all, err := c.results()
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for _, k := range all {
		if known[k.key] {
			continue
		}
		for _, p := range k.Packages {
			sums[p.Name] = p.SHA256
		}
	}
	return sums, nil
}

// furnish lets a place find everything but what is built there: sources, the
// seed, and the packages of all other recipes. It returns the keys of their
// results.
func (e *Engine) furnish(p *Place, r *recipe.Recipe, results map[string][]keptResult) (known map[string]bool, err error) {
	there := &Cache{dir: filepath.Join(p.Cache, "build")}
	for _, sub := range []string{"results", "packages", "trees"} {
		if err := os.MkdirAll(there.path(sub), 0o755); err != nil {
			return nil, err
		}
	}
	// Whatever the umask, the user who builds has to come in.
	for _, dir := range []string{p.Dir, p.Cache, there.dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for _, sub := range []string{"sources", "seed"} {
		if err := p.link(filepath.Join(e.Fetcher.CacheDir, sub), filepath.Join(p.Cache, sub)); err != nil {
			return nil, err
		}
	}
	known = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(results)) {
		if name == r.Name {
			continue
		}
		for _, k := range results[name] {
			known[k.key] = true
			if err := there.writeJSON(k.result, "results", k.key+".json"); err != nil {
				return nil, err
			}
			for _, pkg := range k.Packages {
				for _, entry := range []string{"packages/" + pkg.SHA256 + pkgfile.MediaSuffix, "trees/" + pkg.SHA256} {
					if !e.Cache.exists(entry) {
						continue // a tree that no root has needed yet
					}
					if err := p.link(e.Cache.path(entry), there.path(entry)); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	return known, nil
}

// compare fills in what differs between the packages of two builds.
func (e *Engine) compare(ctx context.Context, x *Verified, again *Cache, first, second map[string]string, keep string) error {
	names := maps.Clone(first)
	maps.Copy(names, second)
	x.Same = true
	for _, name := range slices.Sorted(maps.Keys(names)) {
		p := VerifiedPackage{Package: name, First: first[name], Second: second[name], Same: first[name] == second[name]}
		if !p.Same {
			x.Same = false
			if err := p.explain(ctx, e.Cache, again); err != nil {
				return fmt.Errorf("compare both packages %s: %w", name, err)
			}
			if keep != "" {
				for _, side := range []struct {
					cache    *Cache
					sum, dir string
				}{{e.Cache, p.First, "first"}, {again, p.Second, "second"}} {
					if err := side.cache.copyPackage(side.sum, filepath.Join(keep, side.dir)); err != nil {
						return fmt.Errorf("keep %s: %w", name, err)
					}
				}
			}
		}
		x.Packages = append(x.Packages, p)
	}
	return nil
}

// copyPackage copies a package of the cache into a folder, under the name that
// a package file has.
func (c *Cache) copyPackage(sum, dir string) error {
	if sum == "" {
		return nil
	}
	file, err := c.openPackage(sum)
	if err != nil {
		return err
	}
	name := file.Manifest().FileName()
	if err := errors.Join(file.Close(), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	from, err := os.Open(c.path("packages", sum+pkgfile.MediaSuffix))
	if err != nil {
		return err
	}
	defer from.Close()
	return explainDisk(durable.Write(filepath.Join(dir, name), 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	}))
}

// actionOf returns the key of the action that a result is of.
func (c *Cache) actionOf(res *result) (string, error) {
	for _, p := range res.Packages {
		file, err := c.openPackage(p.SHA256)
		if err != nil {
			return "", err
		}
		defer file.Close()
		return file.Manifest().Provenance.Action, nil
	}
	return "", nil
}

// openPackage opens a package of the cache.
func (c *Cache) openPackage(sum string) (*pkgfile.Package, error) {
	return pkgfile.OpenFile(c.path("packages", sum+pkgfile.MediaSuffix))
}
