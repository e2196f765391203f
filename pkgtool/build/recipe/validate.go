package recipe

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/version"

	"github.com/bmatcuk/doublestar/v4"
)

var (
	hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
	octalMode = regexp.MustCompile(`^[0-7]{4}$`)
	accountRE = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]*$`)
)

// EpochOf returns SOURCE_DATE_EPOCH: the recipe's date at midnight UTC.
func (r *Recipe) EpochOf() int64 {
	day, _ := time.Parse(time.DateOnly, r.Date) // checked when loaded
	return day.Unix()
}

// EVR is the version of the recipe's packages.
func (r *Recipe) EVR() version.Version {
	v, _ := version.New(r.Epoch, r.Version, r.Release) // checked when loaded
	return v
}

// validate checks everything that one recipe alone can get wrong, and fills
// the default package.
func (r *Recipe) validate(p *problems) {
	if r.Schema != 1 {
		p.add(path{"schema"}, "this pkgtool reads schema 1")
	}
	r.validateIdentity(p)
	r.validateSecurity(p)
	r.validateSources(p)
	r.validatePatches(p)
	r.validateBuild(p)
	r.plan(p)
	if len(r.Packages) == 0 {
		r.Packages = []Package{{Name: r.Name, Files: []string{"/**"}}}
	}
	names := map[string]bool{}
	for i := range r.Packages {
		at := path{"packages", i}
		if names[r.Packages[i].Name] {
			p.add(at.with("name"), "package %q stands twice", r.Packages[i].Name)
		}
		names[r.Packages[i].Name] = true
		r.validatePackage(&r.Packages[i], at, p)
	}
	if debug := r.Name + "-debug"; r.Build.HasDebug() && r.OriginOf() == "source" && !names[debug] && !slices.Equal(r.Arches, []string{"noarch"}) {
		r.Packages = append(r.Packages, Package{
			Name: debug, Summary: "Debugging symbols of " + r.Name, License: r.License, Split: "debug", Implicit: true,
		})
	}
	for i, a := range r.Lint.Allow {
		at := path{"lint", "allow", i}
		if FindingOf(a.ID) == nil {
			p.add(at.with("id"), "there is no check %q; checks: %s", a.ID, strings.Join(findingIDs(), ", "))
		}
		if a.Reason == "" {
			p.add(at, "an exception needs a reason")
		}
	}
}

func (r *Recipe) validateIdentity(p *problems) {
	for _, required := range []struct{ key, value string }{
		{"name", r.Name}, {"version", r.Version}, {"date", r.Date}, {"summary", r.Summary}, {"license", r.License},
	} {
		if required.value == "" {
			p.add(path{required.key}, "%s is missing", required.key)
		}
	}
	if r.Name != "" {
		if err := version.CheckName(r.Name); err != nil {
			p.add(path{"name"}, "%v", err)
		} else if folder := filepath.Base(r.dir); folder != r.Name {
			p.add(path{"name"}, "the recipe is called %q but lies in the folder %q", r.Name, folder)
		}
	}
	if r.Release == 0 {
		p.add(path{"release"}, "release starts at 1")
	} else if r.Version != "" {
		if _, err := version.New(r.Epoch, r.Version, r.Release); err != nil {
			p.add(path{"version"}, "%v; put upstream's own spelling under upstream", err)
		}
	}
	if r.Upstream != "" && !plainWord.MatchString(r.Upstream) {
		p.add(path{"upstream"}, "%q is not letters, digits and . _ + ~ -", r.Upstream)
	}
	if day, err := time.Parse(time.DateOnly, r.Date); r.Date != "" && (err != nil || day.Year() < 1980 || day.Year() > 2100) {
		p.add(path{"date"}, "%q is not a day such as 2026-01-10", r.Date)
	}
	for key, line := range map[string]string{"summary": r.Summary, "license": r.License, "vendor": r.Vendor} {
		if strings.ContainsAny(line, "\n\r\x1b\x00") {
			p.add(path{key}, "%s is one line of plain text", key)
		}
	}
	if r.Origin != "" && r.Origin != "source" && r.Origin != "seed" {
		p.add(path{"origin"}, "%q is neither source nor seed", r.Origin)
	}
	for i, arch := range r.Arches {
		if arch != "x86_64" && (arch != "noarch" || len(r.Arches) > 1) {
			p.add(path{"arches", i}, "%q is not an architecture; known: x86_64, or noarch alone", arch)
		}
	}
	for name := range r.Vars {
		if !envName.MatchString(name) {
			p.add(path{"vars", name}, "%q is not letters, digits and _", name)
		}
	}
}

// validatePatches runs after the sources have their ids.
func (r *Recipe) validatePatches(p *problems) {
	for i := range r.Patches {
		patch, at := &r.Patches[i], path{"patches", i}
		switch {
		case (patch.File == "") == (patch.Series == ""):
			p.add(at, "a patch has exactly one of file and series")
		case patch.File != "":
			r.checkFile(at, patch.File, p)
		case !filepath.IsLocal(patch.Series):
			p.add(at.with("series"), "%q leaves $SRCDIR and the recipe's folder", patch.Series)
		}
		if patch.StripCount() < 0 || patch.StripCount() > 20 {
			p.add(at.with("strip"), "strip is between 0 and 20")
		}
		if patch.Source != "" && !slices.ContainsFunc(r.Sources, func(s Source) bool { return s.ID == patch.Source && s.Unpacked() }) {
			p.add(at.with("source"), "there is no unpacked source %q", patch.Source)
		}
	}
}

func (r *Recipe) validateSources(p *problems) {
	seen := map[string]bool{}
	for i := range r.Sources {
		s, at := &r.Sources[i], path{"sources", i}
		if s.ID == "" && i == 0 {
			s.ID = "main"
		}
		switch {
		case s.ID == "":
			p.add(at, "the second and later sources need an id")
		case !plainWord.MatchString(s.ID):
			p.add(at.with("id"), "%q is not letters, digits and . _ + ~ -", s.ID)
		case seen[s.ID]:
			p.add(at.with("id"), "source %q stands twice", s.ID)
		}
		seen[s.ID] = true
		kinds := 0
		for _, set := range []bool{len(s.URLs) > 0, s.Git != "", s.Tree != "", s.GoSum != ""} {
			if set {
				kinds++
			}
		}
		if kinds != 1 {
			p.add(at, "a source has exactly one of urls, git, tree and gosum")
			continue
		}
		if s.Into != "" && !filepath.IsLocal(s.Into) {
			p.add(at.with("into"), "%q leaves $SRCDIR", s.Into)
		}
		if s.StripCount() < 0 || s.StripCount() > 20 {
			p.add(at.with("strip"), "strip is between 0 and 20")
		}
		switch {
		case len(s.URLs) > 0:
			r.validateURLs(s, at, p)
		case s.Git != "":
			r.validateGit(s, at, p)
		default:
			r.validateTree(s, at, p)
		}
		r.validateSignature(s, at, p)
	}
}

func (r *Recipe) validateURLs(s *Source, at path, p *problems) {
	gomod := strings.HasPrefix(s.URLs[0], "gomod://")
	switch {
	case gomod && s.H1 == "":
		p.add(at, "a gomod:// source needs its h1 sum, as go.sum has it")
	case !gomod && s.SHA256 == "":
		p.add(at, "a source needs its sha256; nothing is taken without")
	case s.SHA256 != "" && !hexDigest.MatchString(s.SHA256):
		p.add(at.with("sha256"), "%.80q is not 64 hexadecimal digits in lower case", s.SHA256)
	}
	if s.Include != nil || s.Exclude != nil {
		p.add(at, "include and exclude belong to a tree")
	}
	for j, raw := range s.URLs {
		u, err := url.Parse(raw)
		if err != nil {
			p.add(at.with("urls", j), "%v", err)
			continue
		}
		switch u.Scheme {
		case "mirror", "https", "gomod":
			if u.Host == "" || u.User != nil {
				p.add(at.with("urls", j), "%q has no host, or a password in it", u.Redacted())
			}
		case "":
			r.checkFile(at.with("urls", j), raw, p)
		default:
			p.add(at.with("urls", j), "%q: use mirror://, https://, gomod:// or a file of the recipe's folder", raw)
		}
	}
}

func (r *Recipe) validateTree(s *Source, at path, p *problems) {
	key, name := "tree", s.Tree
	if s.GoSum != "" {
		key, name = "gosum", s.GoSum
	}
	if s.SHA256 != "" || s.H1 != "" {
		p.add(at, "a %s has no sum of its own; its files are what counts", key)
	}
	if _, err := r.tree.ProjectPath(name); err != nil {
		p.add(at.with(key), "%v", err)
	}
	for key, globs := range map[string][]string{"include": s.Include, "exclude": s.Exclude} {
		for j, g := range globs {
			if !doublestar.ValidatePattern(g) {
				p.add(at.with(key, j), "%q is not a glob", g)
			}
		}
	}
}

// ProjectPath resolves a path that a tree or gosum source names: it lies in
// the folder above all recipes, and exists.
func (t *Tree) ProjectPath(name string) (string, error) {
	project := filepath.Dir(t.Dir)
	rel, err := filepath.Rel(project, filepath.Join(t.Dir, name))
	if err != nil || filepath.IsAbs(name) || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%q is outside the project", name)
	}
	root, err := os.OpenRoot(project)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if _, err := root.Stat(rel); err != nil {
		return "", fmt.Errorf("%q is not in the project: %w", name, err)
	}
	return filepath.Join(project, rel), nil
}

func (r *Recipe) validateBuild(p *problems) {
	if r.Build.Style != "" && r.Build.Style != "none" && r.style() == nil {
		p.add(path{"build", "style"}, "there is no style %q%s", r.Build.Style, didYouMean(r.Build.Style, r.tree.styles))
	}
	for key, list := range map[string][]string{"tools": r.Build.Tools, "libs": r.Build.Libs, "check": r.Build.Check} {
		for i, text := range list {
			if d, err := version.ParseDependency(text); err != nil {
				p.add(path{"build", key, i}, "%v", err)
			} else if !d.Constraint.Any() {
				p.add(path{"build", key, i}, "a build need has no version: the tree has one of each package")
			}
		}
	}
	if _, err := parseSize(r.Build.Memory); err != nil {
		p.add(path{"build", "memory"}, "%v", err)
	}
	_, wrong := r.Build.Limits.parse()
	for key, err := range wrong {
		p.add(path{"build", "limits", key}, "%v", err)
	}
	for name := range r.Build.Env {
		if !envName.MatchString(name) {
			p.add(path{"build", "env", name}, "%q is not the name of a variable", name)
		}
	}
}

// checkFile reports a file that is not inside the recipe's folder. A symbolic
// link that leads out of it does not count as inside.
func (r *Recipe) checkFile(at path, name string, p *problems) {
	if !filepath.IsLocal(name) {
		p.add(at, "%q is not inside the recipe's folder", name)
		return
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		p.add(at, "%v", err)
		return
	}
	defer root.Close()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.add(at, "%q is not in the recipe's folder", name)
	case err != nil:
		reason := err
		if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
			reason = failed.Err
		}
		p.add(at, "%q is not inside the recipe's folder: %v", name, reason)
	case !info.Mode().IsRegular():
		p.add(at, "%q is not a regular file", name)
	}
}
