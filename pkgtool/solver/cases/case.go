package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
)

// maxCase bounds the file of a case in bytes.
const maxCase = 64 << 20

// DefaultPriority is that of a repository whose priority a case does not state.
const DefaultPriority = 50

// Case is a request and the universe that it is asked of.
type Case struct {
	Universe *Universe
	Request  solver.Request
	Notes    []string // what was read but changes nothing

	indexed *solver.Universe
}

// file is a case as it is written.
type file struct {
	Format            int     `json:"format,omitempty"`
	Universe          string  `json:"universe"`
	Arch              string  `json:"arch,omitempty"`
	Repos             []repo  `json:"repos,omitempty"`
	Install           words   `json:"install,omitempty"`
	Remove            words   `json:"remove,omitempty"`
	Upgrade           upgrade `json:"upgrade,omitempty"`
	Downgrade         words   `json:"downgrade,omitempty"`
	Reinstall         words   `json:"reinstall,omitempty"`
	Hold              words   `json:"hold,omitempty"`
	Pin               words   `json:"pin,omitempty"`
	AllowVendorChange bool    `json:"allow_vendor_change,omitempty"`
	Recommends        *bool   `json:"recommends,omitempty"`
}

type repo struct {
	Name     string `json:"name"`
	Priority *int   `json:"priority,omitempty"`
}

// UnmarshalJSON takes a name alone for a repository of the default priority.
func (r *repo) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &r.Name)
	}
	type plain repo
	return json.Unmarshal(data, (*plain)(r))
}

// words is a list of texts; one text alone is a list of one.
type words []string

func (w *words) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*w = make(words, 1)
		return json.Unmarshal(data, &(*w)[0])
	}
	return json.Unmarshal(data, (*[]string)(w))
}

// upgrade is a list of names, or "all".
type upgrade struct {
	names words
	all   bool
}

func (u *upgrade) UnmarshalJSON(data []byte) error {
	if string(data) == "true" || string(data) == "false" {
		u.all = string(data) == "true"
		return nil
	}
	if string(data) == `"all"` {
		u.all = true
		return nil
	}
	return u.names.UnmarshalJSON(data)
}

func (u upgrade) MarshalJSON() ([]byte, error) {
	if u.all {
		return []byte(`"all"`), nil
	}
	return json.Marshal(u.names)
}

// Read reads a case and its universe, which lies beside it unless its path is
// absolute. The error is of class fault.Usage where a file is wrong, and names
// the line.
func Read(path string) (*Case, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Mark(err, fault.Usage, "")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCase+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxCase {
		return nil, fault.Errorf(fault.Usage, "%s is longer than %d bytes", path, maxCase)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var written file
	unknown, err := decodeObject(bytes.TrimSpace(text), &written)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w%s", path, err, lineOf(text, &file{})), fault.Usage, "")
	}
	c := &Case{}
	if unknown != "" {
		c.Notes = append(c.Notes, fmt.Sprintf("%s: the field %.100q means nothing", path, unknown))
	}
	if written.Universe == "" {
		return nil, fault.Errorf(fault.Usage, `%s: the field "universe" is missing: the name of the file with the packages`, path)
	}
	if written.Format > 1 {
		return nil, fault.Errorf(fault.Usage, "%s: format %d is newer than this program knows", path, written.Format)
	}
	if err := c.readUniverse(path, &written); err != nil {
		return nil, err
	}
	if err := c.setRequest(&written); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "")
	}
	return c, nil
}

// lineOf says in which line of a text the JSON goes wrong, if that can be told.
func lineOf(text []byte, into any) string {
	err := json.Unmarshal(text, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	offset := int64(-1)
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind): // its offset is that inside of the field
		name, _, _ := strings.Cut(kind.Field, ".")
		offset = int64(bytes.Index(text, []byte(`"`+name+`"`)))
	}
	if offset < 0 || offset > int64(len(text)) {
		return ""
	}
	return fmt.Sprintf(" (line %d)", 1+bytes.Count(text[:offset], []byte("\n")))
}

func (c *Case) readUniverse(path string, written *file) error {
	name := written.Universe
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(path), name)
	}
	u, err := os.Open(name)
	if err != nil {
		return fault.Mark(fmt.Errorf("%s: open the universe: %w", path, err), fault.Usage, "")
	}
	defer u.Close()
	if c.Universe, err = readUniverse(u, name); err != nil {
		return err
	}
	c.Notes = append(c.Notes, c.Universe.Notes...)
	priority := map[string]int{}
	for _, r := range written.Repos {
		if _, twice := priority[r.Name]; twice || r.Name == "" {
			return fault.Errorf(fault.Usage, "%s: the repository %q is listed twice or has no name", path, r.Name)
		}
		priority[r.Name] = DefaultPriority
		if r.Priority != nil {
			priority[r.Name] = *r.Priority
		}
	}
	for _, p := range c.Universe.Packages {
		if c.Universe.own[p] {
			continue
		}
		p.Priority = DefaultPriority
		if stated, ok := priority[p.Repo]; ok {
			p.Priority = stated
		}
	}
	return nil
}

// setRequest reads the request. What changes packages that are not installed is
// left out with a note.
func (c *Case) setRequest(written *file) error {
	r := &c.Request
	r.Arch, r.UpgradeAll, r.AllowVendorChange = written.Arch, written.Upgrade.all, written.AllowVendorChange
	r.NoRecommends = written.Recommends != nil && !*written.Recommends
	installed := map[string][]*solver.Package{}
	for _, p := range c.Universe.Packages {
		if p.Installed {
			installed[p.Name] = append(installed[p.Name], p)
		}
	}
	for _, list := range []struct {
		field string
		texts words
		into  *[]version.Dependency
	}{{"install", written.Install, &r.Install}, {"pin", written.Pin, &r.Pins}} {
		for _, text := range list.texts {
			d, err := parseWish(text)
			if err == nil && list.field == "pin" && len(d.Or) > 0 {
				err = fmt.Errorf("%q: name one package at a time", text)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", list.field, err)
			}
			*list.into = append(*list.into, d)
		}
	}
	for _, list := range []struct {
		field string
		texts words
		into  *[]string
		plain bool // names without versions
	}{
		{"remove", written.Remove, &r.Remove, false}, {"upgrade", written.Upgrade.names, &r.Upgrade, true},
		{"downgrade", written.Downgrade, &r.Downgrade, false}, {"reinstall", written.Reinstall, &r.Reinstall, true}, {"hold", written.Hold, &r.Hold, true},
	} {
		for _, text := range list.texts {
			d, err := parseWish(text)
			if err == nil && (len(d.Or) > 0 || list.plain && !d.Constraint.Any()) {
				err = fmt.Errorf("%q is not the name of a package", text)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", list.field, err)
			}
			there := slices.ContainsFunc(installed[d.Name], func(p *solver.Package) bool {
				return list.field == "downgrade" || d.Constraint.Allows(p.Version)
			})
			if !there && list.field != "hold" {
				c.Notes = append(c.Notes, fmt.Sprintf("%s: %s is not installed", list.field, d))
				continue
			}
			*list.into = append(*list.into, d.String())
		}
	}
	return nil
}

// parseWish reads a dependency, or name@version.
func parseWish(text string) (version.Dependency, error) {
	if name, at, found := strings.Cut(text, "@"); found {
		text = name + " " + at
	}
	return version.ParseForeignDependency(strings.TrimSpace(text))
}
