package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed templates
var templates embed.FS

// maxLatest is how many new packages the first page shows.
const maxLatest = 15

// remoteForm is a name that a repository can have on a system.
var remoteForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`) })

// kinds are the pages that have a template of their own.
var kinds = []string{"start", "search", "browse", "package", "files", "advisories", "advisory", "health", "absent", "broken"}

// parsed reads the templates: layout and parts, and in them each page.
var parsed = sync.OnceValue(func() map[string]*template.Template {
	funcs := template.FuncMap{
		"size": size, "number": number, "day": day, "moment": moment, "span": span, "join": strings.Join, "plural": func(n int, unit string) string { return plural(int64(n), unit) },
		"package": packageLink, "advisory": advisoryLink,
		"seconds": func(n int64) time.Duration { return time.Duration(n) * time.Second },
	}
	base := template.Must(template.New("layout.html").Funcs(funcs).ParseFS(templates, "templates/layout.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, kind := range kinds {
		all[kind] = template.Must(template.Must(base.Clone()).ParseFS(templates, "templates/"+kind+".html"))
	}
	return all
})

// frame is what the layout shows around a page.
type frame struct {
	Title  string
	Kind   string
	Base   string // from this page to the first one
	Here   string // from the first page to this one
	Repo   string
	Notice string // what everybody must know
	Static bool
	URL    string
	Choice choice
	View   any
}

// choice is what a search can be limited to.
type choice struct{ Channels, Arches []string }

// form is what the form for searching shows.
type form struct {
	Text, Channel, Arch string
	Choice              choice
}

// Form is filled in as it was sent.
func (f *frame) Form() form {
	if v, ok := f.View.(*found); ok {
		return form{v.Text, v.Channel, v.Arch, f.Choice}
	}
	return form{Choice: f.Choice}
}

// turn leads to the pages before and after one of a list.
type turn struct {
	Page, Pages   int
	Before, After string // addresses; "" where there is none
}

func turning(page, pages int, link func(page int) string) turn {
	t := turn{Page: page, Pages: pages}
	if page > 1 && page <= pages {
		t.Before = link(page - 1)
	}
	if page < pages {
		t.After = link(page + 1)
	}
	return t
}

// numbered returns the addresses of a list whose further pages are below it.
func numbered(list, prefix string) func(page int) string {
	return func(page int) string {
		if page == 1 {
			return list
		}
		return list + prefix + strconv.Itoa(page) + "/"
	}
}

const genericName = "Package repository"

func (v *visit) frame(p *page) *frame {
	f := &frame{Kind: p.kind, Base: base(v.path), Here: here(v.path, v.raw), Repo: genericName, Static: v.static, URL: v.url, View: p.view}
	if st := v.state; st != nil {
		if st.Name != "" {
			f.Repo = line(st.Name, maxText)
		}
		if h := st.health(v.site.now(), nil); !h.Served() {
			f.Notice = h.InWords()
		}
		f.Choice.Channels, f.Choice.Arches = st.channels(), st.arches()
	}
	if f.Title = f.Repo + " packages"; p.title != "" {
		f.Title = p.title + " – " + f.Repo
	}
	return f
}

// base is the way up from a path: "../../" from /packages/zlib/.
func base(path string) string {
	depth := strings.Count((&url.URL{Path: path}).EscapedPath(), "/") - 1
	return "./" + strings.Repeat("../", max(0, depth))
}

func here(path, raw string) string {
	u := url.URL{Path: strings.TrimLeft(path, "/"), RawQuery: raw}
	return "./" + u.EscapedPath() + map[bool]string{true: "?" + u.RawQuery}[raw != ""]
}

func pathEscape(part string) string { return url.PathEscape(part) }

// render makes a page, or its JSON.
func (v *visit) render(p *page) *answer {
	if p.view != nil && p.status == 0 && !v.static && wantsJSON(v.raw) {
		return v.json(p)
	}
	var out bytes.Buffer
	if err := parsed()[p.kind].Execute(&out, v.frame(p)); err != nil {
		return &answer{status: http.StatusInternalServerError, kind: "text/plain; charset=utf-8", body: []byte("this page could not be made\n")}
	}
	return v.finish(p, &answer{status: p.status, kind: "text/html; charset=utf-8", body: out.Bytes()})
}

func (v *visit) json(p *page) *answer {
	data, err := json.MarshalIndent(p.view, "", "  ")
	if err != nil {
		return &answer{status: http.StatusInternalServerError, kind: "text/plain; charset=utf-8", body: []byte("this page could not be made\n")}
	}
	return v.finish(p, &answer{status: p.status, kind: "application/json", body: append(data, '\n')})
}

func (v *visit) finish(p *page, a *answer) *answer {
	if v.state != nil && !p.clock && v.failure == nil {
		a.modified = v.state.modified(v.site.now())
	}
	return a
}

func wantsJSON(raw string) bool {
	values, _ := url.ParseQuery(raw)
	return values.Get("format") == "json"
}
