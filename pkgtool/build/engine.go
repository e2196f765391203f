package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/seed"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
	"ashlar/signing/kmod"
)

// Seed is the bootstrap tool chain: layers of unpacked programs.
type Seed interface {
	recipe.Seed
	// Digest identifies the content of a layer.
	Digest(layer string) string
	// Materialize returns the folder with a layer's files, fetching what is
	// missing. The folder must not be changed.
	Materialize(ctx context.Context, layer string) (dir string, err error)
}

// Engine builds recipes. Set its fields before the first Build.
type Engine struct {
	Tree    *recipe.Tree
	Seed    Seed
	Fetcher *source.Fetcher
	Cache   *Cache

	Executor Executor // runs the commands; nil means this host
	Shared   *Shared  // cache shared with other builders; nil: none

	// Interfaces takes a result also where only the code of libraries differs that
	// it is linked with.
	Interfaces bool

	Parallel  int         // recipes built at a time; 0 means a quarter of the cores, and 2 at least
	Jobs      int         // jobs of one build; 0 means a share of the cores
	Memory    int64       // bytes for all builds that say what they need; 0 means nine tenths of the machine's
	Resume    bool        // go on with builds that failed where they stopped
	NoTests   bool        // leave out the tests of finished packages
	KeepGoing bool        // after a failure, build what does not depend on it
	Report    func(Event) // is told what happens, from several goroutines; may be nil

	// Own holds files of the user for recipes, by recipe: their builds find them,
	// in this order, as $RECIPEDIR/own/NN-NAME. See [KernelFragments].
	Own map[string][]string

	Out    string              // folder for signed packages; "" exports none
	Signer *signing.PrivateKey // signs what is exported, and attestations
	// Modules gives the key that the kernel modules of exported packages are
	// signed with, and is called when there are any; nil leaves modules as they
	// were built. The key never enters a build or the cache.
	Modules func() (*kmod.Key, error)

	Attest string // folder for provenance and bills of materials; "" makes none

	// Failed is called with the still existing build after a step failed, to
	// let a person look around; may be nil.
	Failed func(ctx context.Context, f *FailedBuild)

	digests *fileDigests
	stage   *stage // makes roots without the seed; nil: with it
}

// Built is one package a build made or found.
type Built struct {
	Recipe  string `json:"recipe"`
	Package string `json:"package"`
	File    string `json:"file"`   // name-version-release.arch.ashlar
	Path    string `json:"path"`   // signed where the engine exports, else in the cache
	SHA256  string `json:"sha256"` // of the unsigned file
	Cached  bool   `json:"cached"`
}

// Open returns an engine for the recipes below dir on this host: its seed.lock,
// the host's mirrors and the user's cache.
func Open(dir string) (*Engine, error) { return OpenWith(dir, nil) }

// OpenWith is Open with values of options by recipe and option, which win over
// those of the tree.
func OpenWith(dir string, options map[string]map[string]string) (*Engine, error) {
	tree, err := recipe.LoadTreeWith(dir, recipe.Settings{Arch: "x86_64", Options: options})
	if err != nil {
		return nil, err
	}
	lock, err := seed.ReadLock(filepath.Join(dir, "seed.lock"))
	if err != nil {
		return nil, err
	}
	fetcher, err := source.Host()
	if err != nil {
		return nil, err
	}
	cache, err := OpenCache(filepath.Join(fetcher.CacheDir, "build"))
	if err != nil {
		return nil, err
	}
	e := &Engine{Tree: tree, Fetcher: fetcher, Cache: cache}
	e.Seed = &lockedSeed{lock, fetcher, e}
	return e, nil
}

// lockedSeed is the seed of a seed.lock.
type lockedSeed struct {
	lock    *seed.Lock
	fetcher *source.Fetcher
	engine  *Engine
}

func (s *lockedSeed) LayerOf(name string) (string, bool) { return s.lock.LayerOf(name) }
func (s *lockedSeed) Digest(layer string) string         { return s.lock.Digest(layer) }
func (s *lockedSeed) Materialize(ctx context.Context, layer string) (string, error) {
	return seed.Materialize(ctx, s.lock, layer, s.fetcher, s.fetcher.CacheDir, func(st seed.Status) {
		s.engine.report(Event{Kind: Fetching, Recipe: "seed", Text: "layer " + st.Layer, Done: st.Fetched, Total: st.TotalBytes})
	})
}

// Build makes the packages of the named recipes (all when there are none) and
// of everything they need, and returns those of the named ones and their needs
// in build order. What is in the cache is not built again.
func (e *Engine) Build(ctx context.Context, names []string) ([]Built, error) {
	order, before, err := e.Tree.Order(names, e.Seed)
	if err != nil {
		return nil, err
	}
	if e.Out != "" {
		if err := os.MkdirAll(e.Out, 0o755); err != nil {
			return nil, err
		}
	}
	if e.Cache.left != nil {
		e.report(Event{Kind: Warning, Text: e.Cache.left.Error()})
	}
	e.digests = e.Cache.openDigests()
	s := newSchedule(e, order, before)
	err = s.run(ctx)
	if saveErr := e.digests.save(); err == nil {
		err = saveErr
	}
	return s.built(), err
}

// outcome are the packages of one recipe.
type outcome struct {
	packages []*builtPackage
	built    []Built
}

// buildRecipe makes or finds the packages of one recipe; available are those
// of all recipes before it, jobs how many it may run.
func (e *Engine) buildRecipe(ctx context.Context, r *recipe.Recipe, available []*builtPackage, jobs int) (*outcome, error) {
	start := time.Now()
	root, err := e.resolveRoot(r, newUniverse(available))
	if err != nil {
		return nil, err
	}
	a, err := e.action(r, root)
	if err != nil {
		return nil, err
	}
	actionKey := key(a)
	spec, err := e.packaging(r, root, actionKey)
	if err != nil {
		return nil, err
	}
	resultKey := key(spec)
	hit, err := e.lookup(ctx, r, root, a, spec, resultKey)
	if err != nil {
		return nil, err
	}
	res, cached := hit.result, true
	if res == nil {
		res = e.fetchShared(ctx, r, a, actionKey, resultKey)
	}
	if res == nil {
		cached = false
		if res, err = e.makeResult(ctx, r, root, a, actionKey, spec, resultKey, jobs); err != nil {
			return nil, err
		}
	}
	if hit.result == nil {
		if err := e.noteInterface(ctx, root, a, spec, resultKey); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	out, err := e.outcome(ctx, r, res, cached, func(own []*builtPackage) error { return e.runTests(ctx, r, own, available) })
	if err != nil {
		return nil, err
	}
	if hit.linked || res.From != "" {
		e.refuseAttest(r, res)
	} else {
		e.pushShared(ctx, r, actionKey, resultKey, res)
		if err := e.attest(ctx, r, root, a, actionKey, out); err != nil {
			return nil, err
		}
	}
	kind := Done
	if cached {
		kind = Cached
	}
	e.report(Event{Kind: kind, Recipe: r.Name, Seconds: time.Since(start).Seconds()})
	return out, nil
}

// refuseAttest says why there is no provenance of packages that were not built
// here, or not in this root.
func (e *Engine) refuseAttest(r *recipe.Recipe, res *result) {
	if e.Attest == "" {
		return
	}
	text := "no provenance is written: it was built with libraries of other code; build with --strict"
	if res.From != "" {
		text = "no provenance is written: it was built elsewhere and comes from " + res.From + "; build with --cache none"
	}
	e.report(Event{Kind: Warning, Recipe: r.Name, Text: text})
}

// makeResult builds, unless the installed files of the action are at hand, and
// divides the files into packages.
func (e *Engine) makeResult(ctx context.Context, r *recipe.Recipe, root *buildRoot, a *action, actionKey string, spec *packaging, resultKey string, jobs int) (*result, error) {
	l, err := e.Cache.lock(ctx, "action-"+actionKey[:16], func() {
		e.report(Event{Kind: Waiting, Recipe: r.Name, Text: "another pkgtool is building it"})
	})
	if err != nil {
		return nil, err
	}
	defer l.release()
	if res := e.readResult(resultKey); res != nil {
		return res, nil
	}
	name := r.Name + "-" + actionKey
	if !e.Cache.exists("installed", name+".json") {
		e.report(Event{Kind: Started, Recipe: r.Name, Text: e.whyStarted(r, a)})
		done, err := e.execute(ctx, r, root, a, actionKey, jobs)
		if err != nil {
			return nil, err
		}
		if err := e.Cache.writeJSON(done, "installed", name+".json"); err != nil {
			return nil, err
		}
		if e.stage == nil { // explanations are about builds with the seed
			if err := e.writeLast(a, actionKey); err != nil {
				return nil, err
			}
		}
	}
	e.report(Event{Kind: Packaging, Recipe: r.Name})
	res, err := e.pack(ctx, r, root, actionKey, spec, e.Cache.path("installed", name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, explainDisk(err))
	}
	res.Recipe, res.Action = r.Name, actionKey
	var done installedFile
	res.Resumed = e.Cache.readJSON(&done, "installed", name+".json") && done.Resumed
	if err := e.Cache.writeJSON(res, "results", resultKey+".json"); err != nil {
		return nil, err
	}
	if e.stage == nil {
		e.Cache.dropOlder(r.Name, actionKey)
	}
	return res, nil
}

// result are the packages made from one packaging.
type result struct {
	Recipe   string          `json:"recipe"`
	Action   string          `json:"action"`            // key of what was built
	From     string          `json:"from,omitempty"`    // the shared cache that gave it; "" was built here
	Resumed  bool            `json:"resumed,omitempty"` // not built in one go
	Packages []resultPackage `json:"packages"`
}

type resultPackage struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Digest string `json:"digest"` // see buildDigest
}

// readResult returns nil unless every package is there.
func (e *Engine) readResult(resultKey string) *result {
	var res result
	if !e.Cache.readJSON(&res, "results", resultKey+".json") {
		return nil
	}
	for _, p := range res.Packages {
		if !e.Cache.exists("packages", p.SHA256+pkgfile.MediaSuffix) {
			return nil
		}
	}
	e.Cache.touch("results", resultKey+".json")
	return &res
}

// outcome opens the packages of a result, lets them be tested, and exports
// them.
func (e *Engine) outcome(ctx context.Context, r *recipe.Recipe, res *result, cached bool, test func(own []*builtPackage) error) (out *outcome, err error) {
	out = &outcome{}
	var files []*pkgfile.Package
	defer func() {
		for _, file := range files {
			err = errors.Join(err, file.Close())
		}
	}()
	for _, rp := range res.Packages {
		path := e.Cache.path("packages", rp.SHA256+pkgfile.MediaSuffix)
		file, err := pkgfile.OpenFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		files = append(files, file)
		out.packages = append(out.packages, &builtPackage{owned: e.Tree.Package(rp.Name), manifest: file.Manifest(), sha256: rp.SHA256, digest: rp.Digest})
		out.built = append(out.built, Built{r.Name, rp.Name, rp.File, path, rp.SHA256, cached})
	}
	if test != nil {
		if err := test(out.packages); err != nil {
			return nil, err
		}
	}
	for i, file := range files {
		if e.Out == "" {
			break
		}
		if out.built[i].Path, err = e.export(ctx, file); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return out, nil
}
