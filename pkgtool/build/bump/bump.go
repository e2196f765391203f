package bump

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ashlar/pkgtool/build/draft"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"

	"github.com/goccy/go-yaml/ast"
)

// Change is what a bump did or would do.
type Change struct {
	Recipe   string    `json:"recipe"`
	File     string    `json:"file"`
	From     string    `json:"from"` // versions
	To       string    `json:"to"`
	Upstream string    `json:"upstream,omitempty"`
	Sources  []Changed `json:"sources"`
	Notes    []string  `json:"notes"`

	Text  []byte            `json:"-"` // the recipe as it becomes
	Files map[string][]byte `json:"-"` // of the recipe's folder that change with it
}

// Changed is a source with its new pin.
type Changed struct {
	ID     string `json:"id"`
	URL    string `json:"url"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // in bytes
}

// Status says whether a recipe has upstream's newest version.
type Status struct {
	Recipe   string `json:"recipe"`
	Version  string `json:"version"`
	Newest   string `json:"newest,omitempty"` // upstream's spelling
	Outdated bool   `json:"outdated"`
	Problem  string `json:"problem,omitempty"` // why nothing is known
}

// Check finds upstream's newest version of a recipe.
func (f *Finder) Check(ctx context.Context, r *recipe.Recipe) Status {
	s := Status{Recipe: r.Name, Version: r.UpstreamVersion()}
	c, err := f.newest(ctx, r)
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	s.Newest = c.upstream
	s.Outdated = compareNumbers(c.version, r.EVR()) > 0
	return s
}

// compareNumbers orders versions without their releases.
func compareNumbers(a, b version.Version) int {
	a.Release, b.Release = 1, 1
	return a.Compare(b)
}

// Bump works out the change to a version of upstream, "" for the newest there
// is. It returns nil where the recipe has that version already. It writes
// nothing.
func (f *Finder) Bump(ctx context.Context, r *recipe.Recipe, upstream string) (*Change, error) {
	var c *candidate
	var err error
	if upstream == "" {
		if c, err = f.newest(ctx, r); err != nil {
			return nil, err
		}
	} else if c, err = f.named(ctx, r, upstream); err != nil {
		return nil, err
	}
	switch order := compareNumbers(c.version, r.EVR()); {
	case order == 0:
		return nil, nil
	case order < 0 && upstream == "":
		return nil, nil // what is announced is older than what we have
	case order < 0:
		return nil, fault.Mark(fmt.Errorf("%s: version %s is older than the recipe's %s; machines would not take it", r.Name, c.version.Semver, r.Version),
			fault.Usage, "raise epoch by hand if it must be")
	}
	data, err := os.ReadFile(filepath.Join(r.Dir(), recipe.FileName))
	if err != nil {
		return nil, err
	}
	t, err := parse(data)
	if err != nil {
		return nil, err
	}
	change := &Change{Recipe: r.Name, File: r.File(), From: r.Version, To: c.version.Semver.String(), Sources: []Changed{}, Notes: []string{}, Files: map[string][]byte{}}
	if err := f.apply(ctx, r, c, t, change); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	change.Text = t.finish()
	if len(r.Patches) > 0 {
		change.Notes = append(change.Notes, fmt.Sprintf("%d patches: look whether they still apply, and which upstream has taken", len(r.Patches)))
	}
	return change, nil
}

// named is a version that a person named.
func (f *Finder) named(ctx context.Context, r *recipe.Recipe, upstream string) (*candidate, error) {
	v, err := version.New(r.Epoch, draft.Semantic(upstream), 1)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: upstream's version %q has no obvious semantic form", r.Name, upstream), fault.Usage, "change the recipe by hand")
	}
	c := &candidate{upstream, v, nil}
	if !strings.HasPrefix(mainURL(r), "mirror://debian/") {
		return c, nil
	}
	packages, err := f.source(ctx, firstOf(debianName(mainURL(r)), r.Name))
	if err != nil {
		return nil, err
	}
	for _, p := range packages {
		if draft.Semantic(draft.DebianUpstream(p.Version)) == draft.Semantic(upstream) {
			c.debian, c.upstream = p, draft.DebianUpstream(p.Version)
		}
	}
	if c.debian == nil {
		return nil, fault.Mark(fmt.Errorf("%s: debian %s has no version %s", r.Name, firstOf(f.Suite, draft.DefaultSuite), upstream), fault.Failed, "name another --suite, such as sid")
	}
	return c, nil
}

// apply changes the text for a version.
func (f *Finder) apply(ctx context.Context, r *recipe.Recipe, c *candidate, t *text, change *Change) error {
	number := change.To
	upstream := spelling(r, c)
	if upstream != number {
		change.Upstream = upstream
	}
	var newest time.Time
	for i := range r.Sources {
		s := &r.Sources[i]
		if s.SHA256 == "" || len(s.URLs) == 0 {
			continue
		}
		node := sourceNode(t.root, s.SHA256)
		if node == nil {
			continue
		}
		done, when, err := f.bumpSource(ctx, r, s, node, c, number, upstream, t, change)
		if err != nil {
			return err
		}
		if done != nil {
			change.Sources = append(change.Sources, *done)
			if when.After(newest) {
				newest = when
			}
		}
	}
	if len(change.Sources) == 0 {
		return fault.Mark(fmt.Errorf("no source has the version in its address"), fault.Usage, "write ${upstream} where the version stands in urls")
	}
	day := time.Now()
	if !newest.IsZero() && newest.Before(day) {
		day = newest
	}
	if change.Upstream == "" {
		upstream = ""
	}
	for _, k := range []struct{ key, to, after string }{
		{"version", number, ""}, {"upstream", upstream, "version"}, {"release", "1", ""}, {"date", day.UTC().Format(time.DateOnly), ""},
	} {
		if err := t.setKey(k.key, k.to, k.after); err != nil {
			return err
		}
	}
	return nil
}

// spelling is how the recipe writes upstream's version: without the mark of
// Debian's repacking where the recipe's address has that itself.
func spelling(r *recipe.Recipe, c *candidate) string {
	if c.debian == nil {
		return c.upstream
	}
	old := r.UpstreamVersion()
	if bare := draft.WithoutRepack(c.upstream); bare != c.upstream && draft.WithoutRepack(old) == old {
		return bare
	}
	return c.upstream
}

// sourceNode finds the mapping of a source by its sum.
func sourceNode(root ast.Node, sha256 string) (found ast.Node) {
	mappings(value(root, "sources"), func(n ast.Node) {
		if scalarOf(value(n, "sha256")) == sha256 {
			found = n
		}
	})
	return found
}

// bumpSource fetches one source of the new version and pins it. It returns nil
// for a source that is the same for every version.
func (f *Finder) bumpSource(ctx context.Context, r *recipe.Recipe, s *recipe.Source, node ast.Node, c *candidate, number, upstream string, t *text, change *Change) (*Changed, time.Time, error) {
	urls, ok := value(node, "urls").(*ast.SequenceNode)
	if !ok || len(urls.Values) == 0 {
		return nil, time.Time{}, nil
	}
	raw := scalarOf(urls.Values[0])
	uri, err := r.ExpandText(raw, number, upstream)
	if err != nil {
		return nil, time.Time{}, err
	}
	known := debianFile(c.debian, s.URLs[0])
	if uri == s.URLs[0] && known == nil {
		return nil, time.Time{}, nil
	}
	out := &Changed{ID: s.ID, URL: uri}
	var file string
	if known != nil {
		out.URL = "mirror://debian/" + known.Path
		if out.URL != uri {
			if err := t.set(urls.Values[0], strings.ReplaceAll(out.URL, upstream, "${upstream}")); err != nil {
				return nil, time.Time{}, err
			}
			if len(urls.Values) > 1 {
				change.Notes = append(change.Notes, "source "+s.ID+": look at its further addresses")
			}
		}
		file, err = f.Fetcher.Fetch(ctx, source.Source{URIs: []string{out.URL}, SHA256: known.File.SHA256, Size: known.File.Size}, f.Progress)
		out.SHA256, out.Size = known.File.SHA256, known.File.Size
	} else {
		from := uri
		if !strings.Contains(uri, "://") {
			from = filepath.Join(r.Dir(), uri)
		}
		var pinned source.Source
		file, pinned, err = f.Fetcher.First(ctx, from, f.Progress)
		out.SHA256, out.Size = pinned.SHA256, pinned.Size
		if s.Signature != nil {
			change.Notes = append(change.Notes, "source "+s.ID+": its signature is checked by the build")
		}
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := t.set(value(node, "sha256"), out.SHA256); err != nil {
		return nil, time.Time{}, err
	}
	if size := value(node, "size"); size != nil {
		if err := t.set(size, strconv.FormatInt(out.Size, 10)); err != nil {
			return nil, time.Time{}, err
		}
	}
	if !s.Unpacked() {
		return out, time.Time{}, nil
	}
	when, err := f.lookInto(ctx, r, file, change)
	return out, when, err
}

// lookInto tells the age of an archive, and takes a new go.sum out of it where
// the recipe keeps one.
func (f *Finder) lookInto(ctx context.Context, r *recipe.Recipe, file string, change *Change) (time.Time, error) {
	dir, err := os.MkdirTemp("", "recipe-bump-")
	if err != nil {
		return time.Time{}, err
	}
	defer os.RemoveAll(dir)
	if err := source.Unpack(ctx, file, dir, 1); err != nil {
		return time.Time{}, err
	}
	for _, s := range r.Sources {
		if name, ok := strings.CutPrefix(s.GoSum, r.Name+"/"); ok {
			if sums, err := os.ReadFile(filepath.Join(dir, "go.sum")); err == nil {
				change.Files[name] = sums
			}
		}
	}
	return draft.Newest(dir)
}

// debianFile is the file of a source package that takes the place of an older
// one: of the same kind and component.
func debianFile(p *apt.SourcePackage, old string) *apt.SourceFile {
	if p == nil || !strings.HasPrefix(old, "mirror://debian/") {
		return nil
	}
	kind, component := draft.DebianFile(old)
	if kind == "" {
		return nil
	}
	for i := range p.Files {
		k, c := draft.DebianFile(p.Files[i].Path)
		if k == kind && c == component {
			return &p.Files[i]
		}
	}
	return nil
}

// Write puts the change into the recipe's folder. Where the recipe then has
// mistakes, it is put back as it was and the mistakes are the error.
func (c *Change) Write(r *recipe.Recipe, write func(name string, data []byte) error) error {
	file := filepath.Join(r.Dir(), recipe.FileName)
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := write(file, c.Text); err != nil {
		return err
	}
	tree, err := recipe.LoadTree(filepath.Dir(r.Dir()), "x86_64")
	if err == nil {
		_, err = tree.Recipe(r.Name)
	}
	if err != nil {
		if e := write(file, old); e != nil {
			return e
		}
		return fault.Mark(fmt.Errorf("the recipe of %s would have mistakes, and was left as it is: %w", c.To, err), fault.Usage, "change it by hand")
	}
	for name, data := range c.Files {
		if err := write(filepath.Join(r.Dir(), path.Base(name)), data); err != nil {
			return err
		}
	}
	return nil
}
