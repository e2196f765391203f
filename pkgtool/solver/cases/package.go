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

// decoder turns lines into packages. It remembers what it has read: most texts
// are written many times.
type decoder struct {
	fields       fields
	names, texts map[string]string
	versions     map[string]version.Version
	dependencies map[string]version.Dependency
	provides     map[string]version.Provide
	key          []byte
}

func newDecoder() *decoder {
	return &decoder{
		names: map[string]string{}, texts: map[string]string{}, versions: map[string]version.Version{},
		dependencies: map[string]version.Dependency{}, provides: map[string]version.Provide{},
	}
}

// maxRemembered bounds how much of each kind a decoder remembers.
const maxRemembered = 1 << 20

// recall returns what was made of a text before, or makes it.
func recall[T any](known map[string]T, text []byte, parse func(string) (T, error)) (T, error) {
	if v, ok := known[string(text)]; ok {
		return v, nil
	}
	own := string(text)
	v, err := parse(own)
	if err == nil && len(known) < maxRemembered {
		known[own] = v
	}
	return v, err
}

func (d *decoder) line(text []byte, into *Universe) (note string, err error) {
	f := &d.fields
	unknown := ""
	if !f.scan(text) {
		var l line
		if unknown, err = decodeObject(text, &l); err != nil {
			return "", err
		}
		f.set(&l)
	}
	p, err := d.pack(f)
	if err != nil {
		if len(f.name) > 0 {
			err = fmt.Errorf("package %.100q: %w", f.name, err)
		}
		return "", err
	}
	into.Packages = append(into.Packages, p)
	if p.Version.Semver.Original() != string(f.version) {
		into.spelled[p] = string(f.version)
	}
	if f.priority != nil {
		into.own[p] = true
	}
	if unknown != "" {
		note = fmt.Sprintf("the field %.100q means nothing", unknown)
	}
	switch string(f.reason) {
	case "", "requested", "dependency", "explicit", "user", "manual", "auto", "automatic":
	default:
		note = fmt.Sprintf("the reason %.100q is not requested; it counts as dependency", f.reason)
	}
	return note, nil
}

// pack checks a line and makes a package of it.
func (d *decoder) pack(f *fields) (p *solver.Package, err error) {
	if len(f.name) == 0 {
		return nil, errors.New(`the field "name" is missing`)
	}
	if len(f.version) == 0 {
		return nil, errors.New(`the field "version" is missing`)
	}
	p = &solver.Package{ID: string(f.id), InstallOnly: f.installOnly, Installed: f.installed}
	if p.Name, err = recall(d.names, f.name, checkName); err != nil {
		return nil, err
	}
	for _, text := range []struct {
		from []byte
		into *string
	}{{f.arch, &p.Arch}, {f.repo, &p.Repo}, {f.vendor, &p.Vendor}} {
		if len(text.from) > 0 {
			if *text.into, err = d.keep(text.from); err != nil {
				return nil, err
			}
		}
	}
	d.key = append(append(append(append(append(d.key[:0], f.version...), 0), f.release...), 0), f.epoch...)
	if p.Version, err = recall(d.versions, d.key, func(string) (version.Version, error) {
		return parseVersion(string(f.version), string(f.release), string(f.epoch))
	}); err != nil {
		return nil, err
	}
	if f.priority != nil {
		p.Priority = *f.priority
	}
	switch string(f.reason) {
	case "requested", "explicit", "user", "manual":
		p.Requested = f.installed
	}
	for list, into := range [...]*[]version.Dependency{
		requires: &p.Requires, conflicts: &p.Conflicts, replaces: &p.Replaces, recommends: &p.Recommends, supplements: &p.Supplements,
	} {
		if *into, err = parseAll(d.dependencies, f.lists[list], version.ParseForeignDependency); err != nil {
			return nil, fmt.Errorf("%s: %w", listNames[list], err)
		}
	}
	if p.Provides, err = parseAll(d.provides, f.lists[provides], version.ParseForeignProvide); err != nil {
		return nil, fmt.Errorf("provides: %w", err)
	}
	return p, nil
}

// keep returns a text that is kept once.
func (d *decoder) keep(text []byte) (string, error) {
	return recall(d.texts, text, func(text string) (string, error) { return text, nil })
}

func parseAll[T any](known map[string]T, texts [][]byte, parse func(string) (T, error)) ([]T, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	all := make([]T, len(texts))
	for i, text := range texts {
		v, err := recall(known, text, func(text string) (T, error) { return parse(strings.TrimSpace(text)) })
		if err != nil {
			return nil, err
		}
		all[i] = v
	}
	return all, nil
}

// checkName returns the name of a package if it can be one.
func checkName(text string) (string, error) {
	d, err := version.ParseForeignDependency(text)
	if err == nil && d.Name != text {
		err = fmt.Errorf("%q is not a name", text)
	}
	return text, err
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
