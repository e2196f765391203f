package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
)

// line is one package as it is written. Everything but name and version may be
// left out or null.
type line struct {
	Name        string   `json:"name"`
	Version     number   `json:"version"`
	Release     number   `json:"release,omitempty"`
	Epoch       number   `json:"epoch,omitempty"`
	Arch        string   `json:"arch,omitempty"`
	Repo        string   `json:"repo,omitempty"`
	Priority    *int     `json:"priority,omitempty"`
	Vendor      string   `json:"vendor,omitempty"`
	ID          string   `json:"id,omitempty"`
	Requires    []string `json:"requires,omitempty"`
	Provides    []string `json:"provides,omitempty"`
	Conflicts   []string `json:"conflicts,omitempty"`
	Replaces    []string `json:"replaces,omitempty"`
	Recommends  []string `json:"recommends,omitempty"`
	Supplements []string `json:"supplements,omitempty"`
	InstallOnly bool     `json:"install_only,omitempty"`
	Installed   bool     `json:"installed,omitempty"`
	Reason      string   `json:"reason,omitempty"`
}

// number is a text that may be written as a JSON number.
type number string

func (n *number) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(n))
	}
	if string(data) == "null" {
		return nil
	}
	if strings.Trim(string(data), "0123456789.") != "" {
		return fmt.Errorf("%.40s is neither a text nor a plain number", data)
	}
	*n = number(data)
	return nil
}

// decoder turns lines into packages. It remembers what dependencies it has read:
// most are written many times.
type decoder struct {
	dependencies map[string]version.Dependency
	names        map[string]string
}

func newDecoder() *decoder {
	return &decoder{dependencies: map[string]version.Dependency{}, names: map[string]string{}}
}

// maxRemembered bounds what a decoder remembers.
const maxRemembered = 1 << 20

func (d *decoder) line(text []byte, into *Universe) (note string, err error) {
	var l line
	unknown, err := decodeObject(text, &l)
	if err != nil {
		return "", err
	}
	p, err := d.pack(&l)
	if err != nil {
		if l.Name != "" {
			err = fmt.Errorf("package %.100q: %w", l.Name, err)
		}
		return "", err
	}
	into.Packages = append(into.Packages, p)
	if p.Version.Semver.String() != string(l.Version) {
		into.spelled[p] = string(l.Version)
	}
	if l.Priority != nil {
		into.own[p] = true
	}
	if unknown != "" {
		note = fmt.Sprintf("the field %.100q means nothing", unknown)
	}
	switch l.Reason {
	case "", "requested", "dependency", "explicit", "user", "manual", "auto", "automatic":
	default:
		note = fmt.Sprintf("the reason %.100q is not requested; it counts as dependency", l.Reason)
	}
	return note, nil
}

// pack checks a line and makes a package of it.
func (d *decoder) pack(l *line) (*solver.Package, error) {
	if l.Name == "" {
		return nil, errors.New(`the field "name" is missing`)
	}
	if l.Version == "" {
		return nil, errors.New(`the field "version" is missing`)
	}
	name, err := version.ParseForeignDependency(l.Name)
	if err != nil {
		return nil, err
	}
	if name.Name != l.Name {
		return nil, fmt.Errorf("%q is not a name", l.Name)
	}
	p := &solver.Package{
		Name: d.remember(l.Name), Arch: d.remember(l.Arch), Repo: d.remember(l.Repo), Vendor: d.remember(l.Vendor), ID: l.ID,
		InstallOnly: l.InstallOnly, Installed: l.Installed,
	}
	if p.Version, err = parseVersion(string(l.Version), string(l.Release), string(l.Epoch)); err != nil {
		return nil, err
	}
	if l.Priority != nil {
		p.Priority = *l.Priority
	}
	switch l.Reason {
	case "requested", "explicit", "user", "manual":
		p.Requested = l.Installed
	}
	for _, field := range []struct {
		name  string
		texts []string
		into  *[]version.Dependency
	}{
		{"requires", l.Requires, &p.Requires}, {"conflicts", l.Conflicts, &p.Conflicts}, {"replaces", l.Replaces, &p.Replaces},
		{"recommends", l.Recommends, &p.Recommends}, {"supplements", l.Supplements, &p.Supplements},
	} {
		if *field.into, err = d.parseAll(field.texts); err != nil {
			return nil, fmt.Errorf("%s: %w", field.name, err)
		}
	}
	if len(l.Provides) > 0 {
		p.Provides = make([]version.Provide, len(l.Provides))
	}
	for i, text := range l.Provides {
		if p.Provides[i], err = version.ParseForeignProvide(strings.TrimSpace(text)); err != nil {
			return nil, fmt.Errorf("provides: %w", err)
		}
	}
	return p, nil
}

// remember returns a text that is kept once.
func (d *decoder) remember(text string) string {
	if kept, ok := d.names[text]; ok {
		return kept
	}
	if len(d.names) < maxRemembered {
		d.names[text] = text
	}
	return text
}

func (d *decoder) parseAll(texts []string) ([]version.Dependency, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	all := make([]version.Dependency, len(texts))
	for i, text := range texts {
		known, ok := d.dependencies[text]
		if !ok {
			var err error
			if known, err = version.ParseForeignDependency(strings.TrimSpace(text)); err != nil {
				return nil, err
			}
			if len(d.dependencies) < maxRemembered {
				d.dependencies[text] = known
			}
		}
		all[i] = known
	}
	return all, nil
}

// parseVersion puts a version together. Missing numbers are 0, a missing release
// is 1. Epoch and release may stand in the version itself if they have no field
// of their own.
func parseVersion(text, release, epoch string) (version.Version, error) {
	e, r := uint64(0), uint64(1)
	var err error
	if epoch != "" {
		if e, err = strconv.ParseUint(epoch, 10, 32); err != nil {
			return version.Version{}, fmt.Errorf("epoch %q is not a number from 0 to 4294967295", epoch)
		}
	} else if before, after, found := strings.Cut(text, ":"); found {
		if e, err = strconv.ParseUint(before, 10, 32); err != nil {
			return version.Version{}, fmt.Errorf("epoch %q is not a number from 0 to 4294967295", before)
		}
		text = after
	}
	if release != "" {
		if r, err = strconv.ParseUint(release, 10, 32); err != nil || r == 0 {
			return version.Version{}, fmt.Errorf("release %q is not a number from 1 to 4294967295", release)
		}
	} else if i := strings.LastIndexByte(text, '-'); i >= 0 {
		if n, err := strconv.ParseUint(text[i+1:], 10, 32); err == nil && n > 0 && text[i+1] != '0' && text[i+1] != '+' {
			text, r = text[:i], n
		}
	}
	numbers, suffix := text, ""
	if i := strings.IndexByte(text, '-'); i >= 0 {
		numbers, suffix = text[:i], text[i:]
	}
	for strings.Count(numbers, ".") < 2 {
		numbers += ".0"
	}
	return version.New(uint32(e), numbers+suffix, uint32(r))
}
