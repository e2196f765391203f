package draft

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Draft is the first version of a recipe.
type Draft struct {
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Upstream string   `json:"upstream,omitempty"` // where it is not the version
	Date     string   `json:"date"`
	Summary  string   `json:"summary"`
	License  string   `json:"license"`
	Homepage string   `json:"homepage,omitempty"`
	System   string   `json:"build_system"` // as autotools, meson, cmake, make, go, python or unknown
	Style    string   `json:"style,omitempty"`
	Sources  []Source `json:"sources"`
	Tools    []string `json:"tools,omitempty"`
	Libs     []string `json:"libs,omitempty"`
	Phases   []Phase  `json:"-"`
	Packages []Split  `json:"packages"`
	Update   *Update  `json:"-"`
	// Notes say what a person should look at, one sentence each.
	Notes []string `json:"notes"`
	// Files go into the recipe's folder, by name.
	Files map[string][]byte `json:"-"`
}

// Source is a pinned source of the draft.
type Source struct {
	ID     string `json:"id,omitempty"`
	URL    string `json:"url,omitempty"` // with ${upstream} or ${version} in it
	SHA256 string `json:"sha256,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Into   string `json:"into,omitempty"`
	GoSum  string `json:"gosum,omitempty"`
	Strip  *int   `json:"strip,omitempty"` // where it is not 1
}

// Phase is a phase with its steps, each of them YAML.
type Phase struct {
	Name  string
	Steps []string
}

// Split is a package of the draft.
type Split struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary,omitempty"`
	Files   []string `json:"files,omitempty"`
	Split   string   `json:"split,omitempty"`
}

// Update says where new versions appear.
type Update struct{ Source, URL, Match string }

// Input is what a draft is made from.
type Input struct {
	Dir    string // the unpacked archive, its top folder not stripped
	URL    string // where the archive came from, or a file of the recipe's folder
	SHA256 string
	Size   int64  // in bytes
	Name   string // instead of what the archive says; may be ""
	// Version is upstream's version where the archive's name does not say it.
	Version string
	// Summary and Homepage are used instead of what the archive says; Wants are
	// libraries that somebody else found it to use. They may be empty.
	Summary, Homepage string
	Wants             []string
	// Has says whether the recipes or the seed have a package of that name; nil
	// knows none.
	Has func(name string) bool
	// Latest bounds the date, so that a broken clock in the archive does not
	// reach the future; the zero value is no bound.
	Latest time.Time
}

// inspector is a draft under way.
type inspector struct {
	*Draft
	in  Input
	top *archive // without the top folder
	// wants are the libraries that the build looks for.
	wants []want
}

// want is a library that a build looks for, by its pkg-config name or another.
type want struct {
	name     string
	required bool
}

// Inspect makes a draft of an archive. It fails only where the archive cannot
// be read or no name can be found; everything else it does not know becomes a
// note.
func Inspect(in Input) (*Draft, error) {
	dir, strip, err := topFolder(in.Dir)
	if err != nil {
		return nil, err
	}
	top, err := openArchive(dir)
	if err != nil {
		return nil, err
	}
	defer top.root.Close()
	i := &inspector{Draft: &Draft{Files: map[string][]byte{}, Notes: []string{}}, in: in, top: top}
	if err := i.identify(); err != nil {
		return nil, err
	}
	i.source(strip)
	i.describe()
	i.system()
	i.needs()
	i.divide()
	i.findUpdate()
	return i.Draft, nil
}

func (i *inspector) note(format string, args ...any) {
	i.Notes = append(i.Notes, fmt.Sprintf(format, args...))
}

// identify finds name and version.
func (i *inspector) identify() error {
	said := i.declared()
	base := i.in.URL
	u, err := url.Parse(i.in.URL)
	if err != nil {
		return fmt.Errorf("the address of the archive cannot be written into a recipe: %w", err)
	}
	if u.Path != "" {
		base = u.Path
	}
	name, upstream := fileName(path.Base(base))
	if name == "" { // v1.2.tar.gz: what it unpacks to says it
		folder, more := fileName(filepath.Base(i.top.root.Name()))
		if more != "" && upstream == "" || more == upstream {
			name, upstream = folder, firstOf(upstream, more)
		}
	}
	if name == "" && said.name == "" { // v1.2.tar.gz of a forge: the project is a folder of the address
		if parts := strings.Split(strings.Trim(path.Dir(base), "/"), "/"); len(parts) >= 2 {
			name = packageName(strings.TrimSuffix(parts[1], ".git"))
		}
	}
	i.Name = firstOf(i.in.Name, name, packageName(said.name))
	if i.Name == "" {
		return fmt.Errorf("no name can be found in %q or in what it holds", path.Base(base))
	}
	upstream = firstOf(i.in.Version, upstream, said.version)
	i.Version = Semantic(upstream)
	switch {
	case upstream == "":
		i.Version = "0.0.1"
		i.note("no version was found; write it into version")
	case i.Version == "":
		i.Version, i.Upstream = "0.0.1", upstream
		i.note("upstream's version %q has no obvious semantic form; choose one that grows with every release and write it into version", upstream)
	case i.Version != upstream:
		i.Upstream = upstream
		if hasFourth(i.Version, upstream) {
			i.note("version %s stands for upstream's %s: the third number times a thousand plus the next; keep to that, or the next version may be older", i.Version, upstream)
		}
	}
	i.Date = "2000-01-01"
	if newest := i.top.newest.UTC(); newest.Year() >= 1990 {
		if !i.in.Latest.IsZero() && newest.After(i.in.Latest) {
			newest = i.in.Latest.UTC()
		}
		i.Date = newest.Format(time.DateOnly)
	} else {
		i.note("the archive's files have no usable times; write the day of the release into date")
	}
	return nil
}

// UpstreamVersion is upstream's version, whichever key it stands under.
func (d *Draft) UpstreamVersion() string { return firstOf(d.Upstream, d.Version) }

// source writes the archive's address so that it holds for the next version.
func (i *inspector) source(strip int) {
	s := Source{ID: "main", URL: withVersion(i.in.URL, i.UpstreamVersion()), SHA256: i.in.SHA256, Size: i.in.Size}
	if strip != 1 {
		s.Strip = &strip
	}
	i.Sources = append(i.Sources, s)
}

// withVersion replaces a version in an address by ${upstream}, and its first
// two numbers, where they are a folder, by ${upstream.major_minor}.
func withVersion(raw, upstream string) string {
	if len(upstream) == 0 || !strings.Contains(raw, upstream) {
		return strings.ReplaceAll(raw, "${", "$${")
	}
	raw = strings.ReplaceAll(raw, "${", "$${")
	raw = strings.ReplaceAll(raw, upstream, "${upstream}")
	if parts := strings.Split(upstream, "."); len(parts) > 2 {
		raw = strings.ReplaceAll(raw, "/"+parts[0]+"."+parts[1]+"/", "/${upstream.major_minor}/")
	}
	return raw
}

// describe fills summary, licence and homepage.
func (i *inspector) describe() {
	said := i.declared()
	i.Summary = oneLine(firstOf(i.in.Summary, said.summary, i.readmeLine()))
	if i.Summary == "" {
		i.Summary = i.Name
		i.note("write one line that says what it is into summary")
	}
	i.Homepage = firstOf(i.in.Homepage, said.homepage)
	if i.Homepage == "" {
		i.Homepage = homepageOf(i.in.URL)
	}
	license, files := i.top.license()
	i.License = license
	switch {
	case license == "":
		i.License = "LicenseRef-unknown"
		i.note("no licence was recognised; write its SPDX expression into license")
	case len(files) > 1 || strings.Contains(license, " AND "):
		i.note("license %s was read from %s; look whether it is a choice (OR), and which files each is for", license, strings.Join(files, ", "))
	}
}

// homepageOf guesses a project's page from the address of its archive.
func homepageOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" {
		return ""
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case (u.Host == "github.com" || u.Host == "gitlab.com" || u.Host == "codeberg.org") && len(parts) > 2:
		return "https://" + u.Host + "/" + parts[0] + "/" + parts[1]
	case (u.Host == "ftp.gnu.org" || strings.HasSuffix(u.Host, "ftpmirror.gnu.org")) && len(parts) > 1:
		return "https://www.gnu.org/software/" + strings.TrimPrefix(parts[len(parts)-2], "gnu/") + "/"
	}
	return ""
}

// titleLine is "NAME - what it is" in a README.
var titleLine = regexp.MustCompile(`(?m)^[#= ]*[A-Za-z0-9_.+]+(?: [A-Za-z0-9_.+]+)? (?:-|--|:|—) ([A-Z]?[a-zA-Z].{8,90})$`)

func (i *inspector) readmeLine() string {
	file := i.top.first("README", "README.md", "README.rst", "README.txt", "README.adoc")
	text := i.top.read(file)
	if m := titleLine.FindStringSubmatch(text[:min(len(text), 4000)]); m != nil {
		return m[1]
	}
	return ""
}

// oneLine makes a summary of text: one line, no full stop, at most 80
// characters.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	text = strings.TrimSuffix(text, ".")
	if runes := []rune(text); len(runes) > 80 {
		text = strings.TrimSpace(string(runes[:80]))
		if cut := strings.LastIndexByte(text, ' '); cut > 40 {
			text = text[:cut]
		}
	}
	return strings.TrimRight(text, ". ")
}

// findUpdate says where the next version will be seen: the folder of the
// archive, where that is a page. Debian's archive is known without.
func (i *inspector) findUpdate() {
	u, err := url.Parse(i.in.URL)
	if err != nil || u.Scheme != "https" {
		return
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if (u.Host == "github.com" || u.Host == "gitlab.com" || u.Host == "codeberg.org") && len(parts) > 2 {
		i.Update = &Update{Source: "git-tags", URL: "https://" + u.Host + "/" + parts[0] + "/" + strings.TrimSuffix(parts[1], ".git")}
		return
	}
	i.Update = &Update{Source: "html", URL: "https://" + u.Host + strings.TrimSuffix(path.Dir(u.Path), "/") + "/"}
}

func firstOf(texts ...string) string {
	at := slices.IndexFunc(texts, func(s string) bool { return s != "" })
	if at < 0 {
		return ""
	}
	return texts[at]
}
