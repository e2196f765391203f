package web

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ashlar/repo/advisory"
)

// visit is one request for a page.
type visit struct {
	site    *Site
	state   *state // nil if none could be read
	failure error  // why no newer one could be read
	path    string
	raw     string // query string
	url     string // of the repository, for commands
	static  bool   // the page becomes a file: there is nobody to search
}

// page is what a template shows.
type page struct {
	status int    // 0 is 200
	kind   string // the template, and the section of the site
	title  string
	view   any  // what the template shows; what ?format=json writes
	clock  bool // depends on the time of day
}

var notFound = &page{status: http.StatusNotFound, kind: "absent", title: "Not found"}

// answer makes the page that is asked for.
func (v *visit) answer(ctx context.Context) *answer {
	if len(v.path) > maxPath || len(v.raw) > maxQuery {
		return v.render(&page{status: http.StatusRequestURITooLong, kind: "absent", title: "Too long"})
	}
	if v.path == "/health.json" || v.path == "/health/" {
		return v.health()
	}
	if v.state == nil {
		return v.render(&page{status: http.StatusServiceUnavailable, kind: "broken", title: "Nothing to show", view: v.state.health(v.site.now(), v.failure)})
	}
	if v.path == "/feed.atom" {
		return v.feed()
	}
	p, err := v.find(ctx, v.path)
	if err == nil && p == notFound && !strings.HasSuffix(v.path, "/") {
		if p, err := v.find(ctx, v.path+"/"); err == nil && p != notFound {
			return v.addSlash()
		}
	}
	if err != nil {
		return v.render(&page{status: http.StatusInternalServerError, kind: "broken", title: "This page could not be made",
			view: &health{Problems: []string{problemOf(err)}}})
	}
	return v.render(p)
}

// addSlash sends a visitor to the folder that a page is, as every web server
// does for files. The address is relative: in front of us may be a proxy that
// takes a prefix away.
func (v *visit) addSlash() *answer {
	last := v.path[strings.LastIndex(v.path, "/")+1:]
	to := "./" + pathEscape(last) + "/"
	if v.raw != "" {
		to += "?" + v.raw
	}
	return &answer{status: http.StatusMovedPermanently, kind: "text/plain; charset=utf-8", location: to}
}

// find makes the page of a path; notFound if there is none.
func (v *visit) find(ctx context.Context, path string) (*page, error) {
	if path == "/search" {
		return v.searchPage()
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if !strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
		return notFound, nil
	}
	switch section, rest := parts[0], parts[1:]; section {
	case "":
		return v.startPage()
	case "health":
		if len(rest) == 0 { // only asked for to learn that it is there
			return &page{}, nil
		}
	case "browse":
		return v.browsePage(rest)
	case "packages":
		return v.packagePage(ctx, rest)
	case "advisory":
		return v.advisoryPage(rest)
	}
	return notFound, nil
}

// startView is the first page.
type startView struct {
	*health
	Latest   []fresh       `json:"latest"`
	Channels []channelView `json:"channels"`
	Remote   string        `json:"-"` // name proposed for the repository on a system
}

type channelView struct {
	Name   string        `json:"channel"`
	Arches []indexHealth `json:"indexes"`
	Other  bool          `json:"-"` // systems have to be told to follow it
}

func (v *visit) startPage() (*page, error) {
	st := v.state
	view := &startView{health: st.health(v.site.now(), v.failure), Latest: st.latest[:min(len(st.latest), maxLatest)], Remote: "example"}
	if remoteForm().MatchString(st.Name) {
		view.Remote = st.Name
	}
	for _, name := range st.channels() {
		c := channelView{Name: name, Other: compareChannels(name, "") > 0}
		for _, i := range view.Indexes {
			if i.Channel == name {
				c.Arches = append(c.Arches, i)
			}
		}
		view.Channels = append(view.Channels, c)
	}
	return &page{kind: "start", view: view, clock: true}, nil
}

func (v *visit) searchPage() (*page, error) {
	f, err := v.state.search(parseQuery(v.raw))
	if err != nil {
		return nil, err
	}
	title := "Search"
	if f.Text != "" {
		title = "Search for " + f.Text
	}
	return &page{kind: "search", title: title, view: f}, nil
}

// browseView lists packages by name.
type browseView struct {
	First  string       `json:"first"` // character of the names; "" for the list of them
	Firsts []string     `json:"firsts"`
	Page   int          `json:"page"`
	Pages  int          `json:"pages"`
	Names  []nameOnList `json:"packages"`
}

type nameOnList struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
}

// Turn leads to the other pages of the list.
func (v *browseView) Turn() turn {
	return turning(v.Page, v.Pages, numbered("browse/"+v.First+"/", ""))
}

const namesPerPage = 200

func (v *visit) browsePage(rest []string) (*page, error) {
	number, ok := 1, len(rest) <= 2
	if len(rest) == 2 {
		number, ok = pageNumber(rest[1])
	}
	if !ok {
		return notFound, nil
	}
	view := &browseView{Page: number, Pages: 1, Names: []nameOnList{}}
	if len(rest) > 0 {
		view.First = rest[0]
	}
	var names []string
	for _, name := range v.state.names {
		if n := len(view.Firsts); n == 0 || view.Firsts[n-1] != name[:1] {
			view.Firsts = append(view.Firsts, name[:1])
		}
		if name[:1] == view.First {
			names = append(names, name)
		}
	}
	if view.First != "" {
		if view.Pages = (len(names) + namesPerPage - 1) / namesPerPage; number > view.Pages {
			return notFound, nil
		}
	}
	first := (number - 1) * namesPerPage
	for _, name := range names[min(first, len(names)):min(first+namesPerPage, len(names))] {
		summary, err := v.state.summary(name)
		if err != nil {
			return nil, err
		}
		view.Names = append(view.Names, nameOnList{name, summary})
	}
	return &page{kind: "browse", title: strings.TrimSpace("All packages " + view.First), view: view}, nil
}

func (v *visit) packagePage(ctx context.Context, rest []string) (*page, error) {
	if len(rest) == 0 {
		return notFound, nil
	}
	all, err := v.state.buildsOf(rest[0])
	if err != nil || len(all) == 0 {
		return notFound, err
	}
	name := ""
	if len(rest) > 1 {
		name = rest[1]
	}
	b := pick(all, name)
	switch {
	case b == nil || len(rest) > 4 || len(rest) > 2 && rest[2] != "files":
		return notFound, nil
	case len(rest) > 2:
		return v.filesPage(ctx, all, b, rest[3:])
	}
	view, err := v.site.packageView(ctx, v.state, all, b)
	if err != nil {
		return nil, err
	}
	for _, list := range [][]need{view.Requires, view.Recommends} {
		for i := range list {
			if !v.static {
				list[i].Link = query{Text: list[i].Text}.link(1)
			}
		}
	}
	title := b.Name
	if name != "" {
		title += " " + view.Version + " (" + view.Arch + ")"
	}
	return &page{kind: "package", title: title, view: view}, nil
}

func (v *visit) filesPage(ctx context.Context, all []build, b *build, rest []string) (*page, error) {
	number, ok := 1, true
	if len(rest) > 0 {
		number, ok = pageNumber(rest[0])
	}
	if !ok {
		return notFound, nil
	}
	view, err := v.site.filesView(ctx, all, b, number)
	if err != nil || view == nil {
		return notFound, err
	}
	return &page{kind: "files", title: "Files of " + b.Name + " " + view.Version, view: view}, nil
}

// pageNumber reads a page number above 1 in its only spelling.
func pageNumber(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 1 && n <= maxPage && strconv.Itoa(n) == text
}

func (v *visit) advisoryPage(rest []string) (*page, error) {
	number, ok := 1, len(rest) == 0
	if len(rest) == 1 && strings.HasPrefix(rest[0], advisoryPagePrefix) {
		number, ok = pageNumber(rest[0][len(advisoryPagePrefix):])
	}
	if ok {
		if list := v.state.advisoryList(number); list != nil {
			return &page{kind: "advisories", title: "Security advisories", view: list}, nil
		}
	}
	var found *advisory.Advisory
	for _, a := range v.state.advisories {
		if len(rest) == 1 && a.ID == rest[0] {
			found = a
		}
	}
	if found == nil {
		return notFound, nil
	}
	view, err := v.state.advisoryView(found)
	return &page{kind: "advisory", title: found.ID, view: view}, err
}

// advisoryPagePrefix begins the address of the further pages of the list. No
// advisory's identifier does.
const advisoryPagePrefix = "~"

// health answers with a status that monitoring understands: 200 when clients
// are served, else 503.
func (v *visit) health() *answer {
	h := v.state.health(v.site.now(), v.failure)
	p := &page{kind: "health", title: "Health", view: h, clock: true}
	if v.path == "/health.json" {
		if !h.Served() {
			p.status = http.StatusServiceUnavailable
		}
		return v.json(p)
	}
	return v.render(p)
}

// modified is when the pages of a state changed last: when it was published,
// and when it expired.
func (s *state) modified(now time.Time) time.Time {
	last := s.Time
	for _, r := range s.Roles {
		if r.Expires.Before(now) && r.Expires.After(last) {
			last = r.Expires
		}
	}
	return last
}
