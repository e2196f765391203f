package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/index"
)

// Limits of texts, in characters.
const (
	maxSummary     = 300
	maxText        = 600
	maxDescription = 8000
	maxBuilds      = 100
)

// packageView is the page of a package: one build of it in detail, and the
// others in a list.
type packageView struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Arch        string    `json:"arch"`
	Channels    []string  `json:"channels"`
	Summary     string    `json:"summary"`
	Description string    `json:"description,omitempty"`
	Homepage    string    `json:"homepage,omitempty"`
	License     string    `json:"license,omitempty"`
	Upstream    string    `json:"upstream,omitempty"`
	Recipe      string    `json:"recipe,omitempty"`
	Vendor      string    `json:"vendor,omitempty"`
	Origin      string    `json:"origin,omitempty"`
	Sources     []string  `json:"sources,omitempty"`
	Size        int64     `json:"size"`
	Installed   int64     `json:"installed_size"`
	SHA256      string    `json:"sha256"`
	Path        string    `json:"path"`
	Files       int       `json:"files"`
	Signers     []signer  `json:"signers"`
	Problem     string    `json:"problem,omitempty"` // why the package file tells nothing
	Builds      []row     `json:"builds"`
	Left        int       `json:"builds_left_out,omitempty"`
	Requires    []need    `json:"requires"`
	Recommends  []need    `json:"recommends,omitempty"`
	Conflicts   []string  `json:"conflicts,omitempty"`
	Replaces    []string  `json:"replaces,omitempty"`
	Supplements []string  `json:"supplements,omitempty"`
	Provides    []string  `json:"provides"`
	NeededBy    []string  `json:"required_by"`
	Needing     int       `json:"required_by_total"`
	Cut         []string  `json:"cut,omitempty"` // lists that are longer than shown
	Advisories  []warning `json:"advisories"`
	Older       bool      `json:"-"` // another build is what systems install by default
	Link        string    `json:"-"` // of this build's own page
}

// row is a build in the list of all.
type row struct {
	Version  string   `json:"version"`
	Arch     string   `json:"arch"`
	Channels []string `json:"channels"`
	Size     int64    `json:"size"`
	SHA256   string   `json:"sha256"`
	Affected bool     `json:"affected"` // an advisory says so
	Link     string   `json:"-"`
	Shown    bool     `json:"-"` // it is the one in detail
}

// label writes the version of a build as people write it.
func label(e *index.Entry, arch bool) string {
	text := strings.TrimPrefix(e.ID(), e.Name+"-")
	if !arch {
		text = strings.TrimSuffix(text, "."+e.Arch)
	}
	return text
}

// buildName names a build in addresses. Where two builds of a release have
// different content, the name says which.
func buildName(all []build, b *build) string {
	name := label(&b.Entry, true)
	for i := range all {
		if all[i].SHA256 != b.SHA256 && all[i].ID() == b.ID() {
			return name + "@" + b.SHA256[:16]
		}
	}
	return name
}

func packageLink(name string) string { return "packages/" + url.PathEscape(name) + "/" }

func buildLink(all []build, b *build) string {
	return packageLink(b.Name) + url.PathEscape(buildName(all, b)) + "/"
}

// pick returns the build of a name in an address, the first for "".
func pick(all []build, name string) *build {
	for i := range all {
		if name == "" || name == buildName(all, &all[i]) {
			return &all[i]
		}
	}
	return nil
}

// packageView describes a build of a package.
func (s *Site) packageView(ctx context.Context, st *state, all []build, b *build) (*packageView, error) {
	e := &b.Entry
	v := &packageView{
		Name: e.Name, Version: label(e, false), Arch: e.Arch, Channels: b.Channels, Summary: line(e.Summary, maxSummary),
		Upstream: line(e.Upstream, maxText), Recipe: line(e.Recipe, maxText), Vendor: line(e.Vendor, maxText),
		Size: e.Size, Installed: e.InstalledSize, SHA256: e.SHA256, Path: e.Path, Link: buildLink(all, b), Older: b != &all[0],
		Signers: []signer{}, NeededBy: []string{}, Left: max(0, len(all)-maxBuilds),
	}
	for i := range all[:min(len(all), maxBuilds)] {
		o := &all[i]
		v.Builds = append(v.Builds, row{Version: label(&o.Entry, false), Arch: o.Arch, Channels: o.Channels, Size: o.Size, SHA256: o.SHA256,
			Affected: len(st.warnings(&o.Entry)) > 0, Link: buildLink(all, o), Shown: o == b})
	}
	v.Conflicts, v.Replaces = v.list("conflicts", e.Conflicts), v.list("replaces", e.Replaces)
	v.Supplements, v.Provides = v.list("supplements", e.Supplements), v.list("provides", e.Provides)
	v.Advisories = st.warnings(e)
	if err := v.relate(ctx, st, b); err != nil {
		return nil, err
	}
	f, err := s.facts(ctx, st, e)
	if err != nil {
		v.Problem = problemOf(err)
		return v, ctx.Err()
	}
	v.License, v.Description, v.Homepage, v.Origin, v.Files = f.License, f.Description, f.Homepage, f.Origin, f.Files
	for _, source := range f.Sources {
		v.Sources = append(v.Sources, line(source.URI, maxText))
	}
	v.Signers = append(v.Signers, f.Signers...)
	return v, nil
}

// relate finds the packages on both sides of the dependencies.
func (v *packageView) relate(ctx context.Context, st *state, b *build) (err error) {
	r := &reader{near: st.near(b.Channels[0], b.Arch), entries: map[place]*index.Entry{}}
	v.mention("requires", b.Requires)
	if v.Requires, err = r.needs(ctx, b.Requires); err != nil {
		return err
	}
	v.mention("recommends", b.Recommends)
	if v.Recommends, err = r.needs(ctx, b.Recommends); err != nil {
		return err
	}
	names, total, err := r.neededBy(ctx, &b.Entry)
	v.NeededBy, v.Needing = append(v.NeededBy, names...), total
	return err
}

// list returns what is shown of a list.
func (v *packageView) list(name string, texts []string) []string {
	v.mention(name, texts)
	shown := []string{}
	for _, text := range texts[:min(len(texts), maxNeeds)] {
		shown = append(shown, line(text, maxText))
	}
	return shown
}

// mention notes a list of which only the beginning is shown.
func (v *packageView) mention(name string, texts []string) {
	if len(texts) > maxNeeds {
		v.Cut = append(v.Cut, fmt.Sprintf("%s: %s of %s", name, number(maxNeeds), number(len(texts))))
	}
}

// Install is the command that brings this build.
func (v *packageView) Install() string {
	if v.Older {
		return "pkgtool install " + v.Name + "@" + v.Version
	}
	return "pkgtool install " + v.Name
}

// Channel is another channel than the one that systems follow by default, or "".
func (v *packageView) Channel() string {
	if v.Channels[0] == repo.DefaultChannel {
		return ""
	}
	return v.Channels[0]
}

// Address is the homepage, if it is one that can be followed.
func (v *packageView) Address() string { return address(v.Homepage) }

// filesView is a page of the list of a build's files.
type filesView struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Total   int    `json:"total"`
	Page    int    `json:"page"`
	Pages   int    `json:"pages"`
	Files   []file `json:"files"`
	Link    string `json:"-"`
}

type file struct {
	Path   string `json:"path"`
	Type   string `json:"type"`
	Mode   string `json:"mode,omitempty"`
	Size   int64  `json:"size"`
	Target string `json:"target,omitempty"`
	Config bool   `json:"config,omitempty"`
}

// Turn leads to the other pages of the list.
func (v *filesView) Turn() turn { return turning(v.Page, v.Pages, numbered(v.Link, "")) }

const filesPerPage = 1000

// filesView lists files of a build, without folders. It is nil if there is no such page.
func (s *Site) filesView(ctx context.Context, all []build, b *build, page int) (*filesView, error) {
	p, release, err := s.open(ctx, &b.Entry)
	if err != nil {
		return nil, err
	}
	defer release()
	v := &filesView{Name: b.Name, Version: label(&b.Entry, false), Arch: b.Arch, Page: page, Files: []file{}, Link: buildLink(all, b) + "files/"}
	for i := range p.Manifest().Files {
		f := &p.Manifest().Files[i]
		if f.Type == pkgfile.TypeDir {
			continue
		}
		if v.Total++; (v.Total-1)/filesPerPage != page-1 {
			continue
		}
		v.Files = append(v.Files, file{Path: line("/"+f.Path, 2*maxText), Type: f.Type, Mode: mode(f), Size: f.Size, Target: line(f.Target, maxText), Config: f.Config})
	}
	v.Pages = max(1, (v.Total+filesPerPage-1)/filesPerPage)
	if page > v.Pages {
		return nil, nil
	}
	return v, nil
}

// mode writes the permission bits, of which a hard link has none of its own.
func mode(f *pkgfile.File) string {
	if f.Type == pkgfile.TypeHardlink {
		return ""
	}
	return fmt.Sprintf("%04o", f.Mode)
}
