package web

import (
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what a visitor may ask.
const (
	maxQuery = 2048 // bytes of a query string
	maxAsked = 200  // characters to search for
	maxWords = 8
	maxPage  = 100_000
)

// query is what a visitor searches for.
type query struct {
	Text    string   `json:"query"`             // as it was typed
	Channel string   `json:"channel,omitempty"` // "" is every one
	Arch    string   `json:"arch,omitempty"`
	Page    int      `json:"page"` // from 1
	words   []string // in lower case; none has spaces or control characters
	File    bool     `json:"-"` // the path of a file is looked for
}

// parseQuery reads a query string. It never fails: what makes no sense counts as
// not given.
func parseQuery(raw string) query {
	if len(raw) > maxQuery {
		raw = raw[:maxQuery]
	}
	values, _ := url.ParseQuery(raw) // what can be read of a broken one
	q := query{Page: 1, Text: asked(values.Get("q")), Channel: asked(values.Get("channel")), Arch: asked(values.Get("arch"))}
	if n, err := strconv.Atoi(values.Get("page")); err == nil && n > 1 && n <= maxPage {
		q.Page = n
	}
	q.words = strings.Fields(strings.ToLower(q.Text))
	if len(q.words) > maxWords {
		q.words = q.words[:maxWords]
	}
	if len(q.words) == 1 && strings.HasPrefix(q.words[0], "/") && path.Base(q.words[0]) != "/" {
		q.File, q.words = true, []string{capability(q.words[0])}
	}
	return q
}

// asked makes what was typed into text that can be shown and compared.
func asked(text string) string {
	printable := strings.ReplaceAll(line(strings.TrimSpace(text), maxAsked), string(utf8.RuneError), " ")
	return strings.TrimSpace(strings.TrimSuffix(printable, "…"))
}

// capability is how a package that has a file makes it known, as far as that is
// known without the package: commands and libraries. Else it is the file's name.
func capability(file string) string {
	folder, base := path.Base(path.Dir(file)), path.Base(file)
	switch {
	case folder == "bin" || folder == "sbin":
		return "cmd(" + base + ")"
	case strings.Contains(base, ".so"):
		return "soname(" + base
	case strings.HasSuffix(base, ".pc"):
		return "pkgconfig(" + strings.TrimSuffix(base, ".pc") + ")"
	}
	return base
}

// link is the address of a page of the answer.
func (q query) link(page int) string {
	v := url.Values{"q": {q.Text}}
	if q.Channel != "" {
		v.Set("channel", q.Channel)
	}
	if q.Arch != "" {
		v.Set("arch", q.Arch)
	}
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	return "search?" + v.Encode()
}
