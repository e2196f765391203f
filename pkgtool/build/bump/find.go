package bump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"ashlar/pkgtool/build/draft"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"

	"golang.org/x/net/html"
)

// maxPage bounds a list of files or tags, in bytes.
const maxPage = 32 << 20

// Finder finds the versions of upstreams. Its zero value, with a Fetcher, is
// ready. It remembers Debian's indexes.
type Finder struct {
	Fetcher  *source.Fetcher
	Progress source.Progress // may be nil
	Suite    string          // of Debian; "" is draft.DefaultSuite

	debian map[string][]*apt.SourcePackage // by name
}

// candidate is a version that upstream has.
type candidate struct {
	upstream string
	version  version.Version
	debian   *apt.SourcePackage // where it was found there
}

// newest finds the newest version of a recipe's upstream: by update, else where
// its first source comes from. Versions before a release count only where the
// recipe has one.
func (f *Finder) newest(ctx context.Context, r *recipe.Recipe) (*candidate, error) {
	all, err := f.candidates(ctx, r)
	if err != nil {
		return nil, err
	}
	var best *candidate
	for i := range all {
		c := &all[i]
		if r.Update != nil && slices.ContainsFunc(r.Update.Ignore, func(glob string) bool {
			ok, _ := path.Match(glob, c.upstream)
			return ok
		}) {
			continue
		}
		if c.version.Semver.Prerelease() != "" && r.EVR().Semver.Prerelease() == "" {
			continue
		}
		if best == nil || c.version.Compare(best.version) > 0 {
			best = c
		}
	}
	if best == nil {
		return nil, fault.Mark(fmt.Errorf("%s: no version was found where update says to look", r.Name), fault.Failed, "correct update.url or update.match, or name the version")
	}
	return best, nil
}

// candidates lists the versions that there are.
func (f *Finder) candidates(ctx context.Context, r *recipe.Recipe) ([]candidate, error) {
	main := mainURL(r)
	kind, where := "", ""
	if r.Update != nil {
		kind, where = r.Update.Source, r.Update.URL
	}
	switch {
	case kind == "git-tags":
		names, err := f.tags(ctx, where)
		return matching(r, names), err
	case kind == "html":
		names, err := f.links(ctx, where)
		return matching(r, names), err
	case kind == "debian" || kind == "" && strings.HasPrefix(main, "mirror://debian/"):
		name := firstOf(where, debianName(main), r.Name)
		packages, err := f.source(ctx, name)
		var all []candidate
		for _, p := range packages {
			all = add(all, r, draft.DebianUpstream(p.Version), p)
		}
		return all, err
	case kind == "" && main != "" && !strings.Contains(main, "://"):
		names, err := folder(r.Dir())
		return matching(r, names), err
	case kind == "":
		return nil, fault.Mark(fmt.Errorf("%s: the recipe does not say where new versions are announced", r.Name), fault.Usage,
			"add update: {source: html, url: ...}, or name the version: pkgtool recipe bump "+r.Name+" VERSION")
	}
	return nil, fault.Errorf(fault.Usage, "%s: update.source %q is none of debian, html and git-tags", r.Name, kind)
}

// add appends a version unless it has no order.
func add(all []candidate, r *recipe.Recipe, upstream string, p *apt.SourcePackage) []candidate {
	v, err := version.New(r.Epoch, draft.Semantic(upstream), 1)
	if err != nil {
		return all
	}
	return append(all, candidate{upstream, v, p})
}

// matching picks the versions out of names of files or tags: by update.match
// and update.version, else by the name of the recipe's own archive.
func matching(r *recipe.Recipe, names []string) []candidate {
	match, template := "", ""
	if r.Update != nil {
		match, template = r.Update.Match, r.Update.Version
	}
	re, err := regexp.Compile(match)
	if match == "" || err != nil {
		re = regexp.MustCompile(defaultMatch(r))
	}
	var all []candidate
	for _, name := range names {
		m := re.FindStringSubmatchIndex(name)
		if m == nil {
			continue
		}
		upstream := name[m[0]:m[1]]
		switch {
		case template != "":
			upstream = string(re.ExpandString(nil, template, name, m))
		case len(m) >= 4 && m[2] >= 0:
			upstream = name[m[2]:m[3]]
		}
		all = add(all, r, upstream, nil)
	}
	return all
}

// defaultMatch is an expression for files named as the recipe's archive and
// for tags as most name them.
func defaultMatch(r *recipe.Recipe) string {
	number := `v?([0-9][0-9a-z]*(?:[.][0-9][0-9A-Za-z]*)*(?:[-~]?(?:rc|alpha|beta)[.-]?[0-9]*)?)`
	base := path.Base(mainURL(r))
	if before, after, ok := strings.Cut(base, r.UpstreamVersion()); ok {
		before = regexp.QuoteMeta(strings.TrimSuffix(before, "v"))
		_ = after // the way of packing may change
		return `^(?:` + before + `|` + regexp.QuoteMeta(r.Name) + `[-_])?` + number + `(?:\.orig)?(?:\.tar(?:\.[a-zA-Z0-9]+)?|\.tgz|\.tbz2?|\.txz|\.zip)?$`
	}
	return `^(?:` + regexp.QuoteMeta(r.Name) + `[-_])?` + number + `$`
}

// links are the last elements of the addresses that a page leads to.
func (f *Finder) links(ctx context.Context, where string) ([]string, error) {
	data, err := f.Fetcher.Page(ctx, where, maxPage)
	if err != nil {
		return nil, err
	}
	var names []string
	tokens := html.NewTokenizer(bytes.NewReader(data))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if err := tokens.Err(); err != io.EOF {
				return names, fmt.Errorf("%s: %w", source.Redact(where), err)
			}
			return names, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			for _, a := range tokens.Token().Attr {
				if a.Key != "href" {
					continue
				}
				if u, err := url.Parse(a.Val); err == nil && u.Path != "" {
					names = append(names, path.Base(u.Path))
				}
			}
		}
	}
}

// tags lists the tags of a git repository as its server tells them (git's
// "smart" protocol over HTTP, version 0).
func (f *Finder) tags(ctx context.Context, where string) ([]string, error) {
	data, err := f.Fetcher.Page(ctx, strings.TrimSuffix(where, "/")+"/info/refs?service=git-upload-pack", maxPage)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range bytes.Lines(data) {
		_, ref, ok := strings.Cut(strings.TrimRight(string(line), "\n"), " refs/tags/")
		if ok && !strings.HasSuffix(ref, "^{}") {
			names = append(names, ref)
		}
	}
	if len(names) == 0 && !bytes.Contains(data, []byte("service=git-upload-pack")) {
		return nil, fault.Mark(fmt.Errorf("%s is not the address of a git repository", source.Redact(where)), fault.Usage, "write the address that git clone takes into update.url")
	}
	return names, nil
}

// source is a source package of Debian, oldest version first.
func (f *Finder) source(ctx context.Context, name string) ([]*apt.SourcePackage, error) {
	if f.debian == nil {
		archive, err := source.OpenDebian(ctx, f.Fetcher, firstOf(f.Suite, draft.DefaultSuite))
		if err != nil {
			return nil, err
		}
		index, err := archive.Index(ctx, "main/source/Sources", f.Progress)
		if err != nil {
			return nil, err
		}
		defer index.Close()
		all := map[string][]*apt.SourcePackage{}
		if err := apt.ReadSources(index, func(p *apt.SourcePackage) error {
			all[p.Name] = append(all[p.Name], p)
			return nil
		}); err != nil {
			return nil, err
		}
		f.debian = all
	}
	if len(f.debian[name]) == 0 {
		return nil, fault.Mark(fmt.Errorf("debian %s has no source package %q in main", firstOf(f.Suite, draft.DefaultSuite), name), fault.Failed,
			"name Debian's package under update: {source: debian, url: NAME}")
	}
	return f.debian[name], nil
}

// debianName is the source package in whose folder of the pool a file lies.
func debianName(uri string) string {
	parts := strings.Split(strings.TrimPrefix(uri, "mirror://debian/"), "/")
	if len(parts) >= 5 && parts[0] == "pool" {
		return parts[3]
	}
	return ""
}

// folder lists the files of a recipe's folder.
func folder(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// mainURL is the address of the first source that has one.
func mainURL(r *recipe.Recipe) string {
	for _, s := range r.Sources {
		if len(s.URLs) > 0 {
			return s.URLs[0]
		}
	}
	return ""
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// Announced says whether a recipe's upstream can be asked for its versions.
func Announced(r *recipe.Recipe) bool {
	return r.Update != nil || strings.HasPrefix(mainURL(r), "mirror://debian/")
}
