package build

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/pkgfile"
)

// Collection says what of a cache is kept.
type Collection struct {
	Keep    int           // results of each recipe, those used last; 0 means 2
	Grace   time.Duration // what was used or made since then stays in any case
	MaxSize int64         // bytes of everything; 0 means no bound
	DryRun  bool

	// Published are sha256 sums of manifests of packages whose results stay.
	Published map[string]bool
}

// Collected says what was removed, or would be.
type Collected struct {
	Results   int   `json:"results"`
	Packages  int   `json:"packages"`
	Trees     int   `json:"trees"`
	Installed int   `json:"installed"`
	Other     int   `json:"other"` // logs, actions, locks
	Freed     int64 `json:"freed"` // bytes
	Left      int64 `json:"left"`
	Shared    bool  `json:"shared"` // another pkgtool used the cache: nothing of the last day was touched
}

// whileUsed is the least grace while other engines use the cache: longer than
// any build of theirs takes.
const whileUsed = 24 * time.Hour

// usedResult is a result with what removal needs to know of it.
type usedResult struct {
	keptResult
	used  time.Time
	sizes int64 // of what only it keeps, when it goes
}

// Collect removes what no kept result needs. It is safe beside running builds.
func (c *Cache) Collect(ctx context.Context, o Collection) (*Collected, error) {
	if o.Keep <= 0 {
		o.Keep = 2
	}
	alone, err := c.users.alone()
	if err != nil {
		return nil, err
	}
	defer c.users.share()
	rep := &Collected{Shared: !alone}
	if !alone {
		o.Grace = max(o.Grace, whileUsed)
	}
	g := &collector{Collection: o, cache: c, rep: rep, before: time.Now().Add(-o.Grace)}
	results, err := g.mark()
	if err != nil {
		return nil, err
	}
	if err := g.bound(ctx, results); err != nil {
		return nil, err
	}
	if err := g.sweep(ctx); err != nil {
		return nil, err
	}
	if alone && !o.DryRun {
		err = g.removeLocks()
	}
	return rep, err
}

// collector is one collection under way.
type collector struct {
	Collection
	cache  *Cache
	rep    *Collected
	before time.Time

	results  map[string]bool // kept, by key
	packages map[string]bool // by sha256
	actions  map[string]bool // by key
}

// mark reads all results, and returns those that stay, the last used first.
func (g *collector) mark() ([]usedResult, error) {
	all, err := g.cache.results()
	if err != nil {
		return nil, err
	}
	var used []usedResult
	for _, k := range all {
		info, err := os.Stat(g.cache.path("results", k.key+".json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		used = append(used, usedResult{keptResult: k, used: info.ModTime()})
	}
	slices.SortStableFunc(used, func(a, b usedResult) int { return cmp.Compare(b.used.UnixNano(), a.used.UnixNano()) })
	var kept []usedResult
	count := map[string]int{}
	for _, u := range used {
		name := u.recipeName()
		count[name]++
		if count[name] <= g.Keep || u.used.After(g.before) || g.published(u) {
			kept = append(kept, u)
		}
	}
	return kept, nil
}

// recipeName is the recipe of a result; those of older versions do not say it,
// and count by their first package.
func (k *keptResult) recipeName() string {
	if k.Recipe == "" && len(k.Packages) > 0 {
		return k.Packages[0].Name
	}
	return k.Recipe
}

// published reports whether a result has a package that a repository offers.
func (g *collector) published(u usedResult) bool {
	if len(g.Published) == 0 {
		return false
	}
	for _, p := range u.Packages {
		file, err := g.cache.openPackage(p.SHA256)
		if err != nil {
			continue
		}
		found := g.Published[file.ManifestSHA256()]
		file.Close()
		if found {
			return true
		}
	}
	return false
}

// bound decides which of the kept results go because all would be too big, the
// longest unused first, and fills the sets of what stays.
func (g *collector) bound(ctx context.Context, kept []usedResult) error {
	g.results, g.packages, g.actions = map[string]bool{}, map[string]bool{}, map[string]bool{}
	var size int64
	for _, u := range kept {
		if err := ctx.Err(); err != nil {
			return err
		}
		var own int64
		for _, p := range u.Packages {
			if !g.packages[p.SHA256] {
				own += diskUsage(g.cache.path("packages", p.SHA256+pkgfile.MediaSuffix)) + diskUsage(g.cache.path("trees", p.SHA256))
			}
		}
		if u.Action != "" && !g.actions[u.Action] {
			own += diskUsage(g.cache.path("installed", u.Recipe+"-"+u.Action))
		}
		if g.MaxSize > 0 && size+own > g.MaxSize && !u.used.After(g.before) && !g.published(u) {
			continue
		}
		size += own
		g.results[u.key] = true
		if u.Action != "" {
			g.actions[u.Action] = true
		}
		for _, p := range u.Packages {
			g.packages[p.SHA256] = true
		}
	}
	return nil
}

// diskUsage is how much a file or folder takes, in bytes; 0 for what is not there.
func diskUsage(path string) (total int64) {
	// Best effort: a size that cannot be read bounds nothing.
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				total += st.Blocks * 512
			}
		}
		return nil
	})
	return total
}

// sweep removes what no kept result needs and nobody made lately. What points
// to other things goes first, so that a collection that is cut off leaves
// nothing that promises what is gone.
func (g *collector) sweep(ctx context.Context) error {
	for _, part := range []struct {
		dir   string
		kept  func(name string) bool
		count *int
	}{
		{"results", func(name string) bool { return g.results[strings.TrimSuffix(name, ".json")] }, &g.rep.Results},
		{"links", func(name string) bool { return g.linked(name) }, &g.rep.Other},
		{"trees", func(name string) bool { return g.packages[name] }, &g.rep.Trees},
		{"interfaces", func(name string) bool { return g.packages[strings.TrimSuffix(name, ".json")] }, &g.rep.Other},
		{"packages", func(name string) bool { return g.packages[strings.TrimSuffix(name, pkgfile.MediaSuffix)] }, &g.rep.Packages},
		{"installed", g.installed, &g.rep.Installed},
		{"actions", func(name string) bool { return g.actions[strings.TrimSuffix(name, ".json")] }, &g.rep.Other},
		{"logs", g.logged, &g.rep.Other},
	} {
		entries, err := os.ReadDir(g.cache.path(part.dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		// What says that a folder is complete goes before the folder.
		slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
			return cmp.Compare(btoi(a.IsDir()), btoi(b.IsDir()))
		})
		for _, entry := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := g.decide(part.dir, entry, part.kept(entry.Name()), part.count); err != nil {
				return err
			}
		}
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// decide removes an entry that is neither kept nor young.
func (g *collector) decide(dir string, entry fs.DirEntry, kept bool, count *int) error {
	path := g.cache.path(dir, entry.Name())
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size := diskUsage(path)
	if kept || dir != "results" && madeAt(info).After(g.before) {
		g.rep.Left += size
		return nil
	}
	*count++
	g.rep.Freed += size
	if g.DryRun {
		return nil
	}
	return sandbox.RemoveTree(path)
}

// madeAt is when an entry came into the cache: trees have the times of the
// files in them, so it is the time of the last change of the inode.
func madeAt(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}

// installed reports whether installed files, or the entry beside them, are of
// a kept action.
func (g *collector) installed(name string) bool {
	name = strings.TrimSuffix(name, ".json")
	return len(name) > 64 && g.actions[name[len(name)-64:]]
}

// logged reports whether a log is of a kept action.
func (g *collector) logged(name string) bool {
	name = strings.TrimSuffix(name, ".log")
	for action := range g.actions {
		if strings.HasSuffix(name, "-"+action[:12]) {
			return true
		}
	}
	return false
}

func (g *collector) linked(name string) bool {
	var target string
	return g.cache.readJSON(&target, "links", name) && g.results[target]
}

// removeLocks removes the lock files of actions; nobody else is there to hold
// or to open them.
func (g *collector) removeLocks() error {
	entries, err := os.ReadDir(g.cache.path("locks"))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == usersLock || entry.Name() == "work" {
			continue
		}
		if err := os.Remove(g.cache.path("locks", entry.Name())); err != nil {
			return err
		}
		g.rep.Other++
	}
	return nil
}
