package apt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxConfig bounds one configuration file's size in bytes.
const maxConfig = 1 << 20

// Repository is one entry of the host's apt sources.
type Repository struct {
	URIs       []string // as written, without a trailing slash
	Suites     []string
	Components []string
	SignedBy   string // path of a keyring, "" if not given or inline
	File       string // where it was read
}

// Repositories reads the enabled entries of dir/sources.list and
// dir/sources.list.d (dir is usually /etc/apt), both one-line and deb822, in
// apt's order. A missing folder gives none. A file that cannot be understood
// is reported in the error while the entries of the others are still returned.
func Repositories(dir string) ([]Repository, error) {
	paths := []string{filepath.Join(dir, "sources.list")}
	names, err := os.ReadDir(filepath.Join(dir, "sources.list.d"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, n := range names {
		paths = append(paths, filepath.Join(dir, "sources.list.d", n.Name()))
	}
	var all []Repository
	var problems []error
	for _, path := range paths {
		parse := ParseList
		switch filepath.Ext(path) {
		case ".list":
		case ".sources":
			parse = ParseSources
		default:
			continue
		}
		data, err := readConfig(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var found []Repository
		if err == nil {
			found, err = parse(data)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", path, err))
		}
		for _, r := range found {
			r.File = path
			all = append(all, r)
		}
	}
	return all, errors.Join(problems...)
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		err = fmt.Errorf("larger than %d bytes", maxConfig)
	}
	return data, err
}

// ParseList reads apt's one-line format: type [options] uri suite components.
func ParseList(data []byte) ([]Repository, error) {
	var all []Repository
	for i, raw := range strings.Split(string(data), "\n") {
		text, _, _ := strings.Cut(raw, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(text, "\t", " ")), " ")
		if kind == "" {
			continue
		}
		if kind != "deb" && kind != "deb-src" {
			return all, fmt.Errorf("line %d: type %.20q is neither deb nor deb-src", i+1, kind)
		}
		rest = strings.TrimSpace(rest)
		var r Repository
		if strings.HasPrefix(rest, "[") {
			options, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return all, fmt.Errorf("line %d: options without a closing bracket", i+1)
			}
			for option := range strings.FieldsSeq(options) {
				if path, ok := strings.CutPrefix(option, "signed-by="); ok && strings.HasPrefix(path, "/") {
					r.SignedBy = path
				}
			}
			rest = after
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			return all, fmt.Errorf("line %d: a URI and a suite are needed", i+1)
		}
		r.URIs = []string{trimURI(fields[0])}
		r.Suites = fields[1:2]
		r.Components = fields[2:]
		all = append(all, r)
	}
	return all, nil
}

// ParseSources reads apt's deb822 format; disabled entries are left out.
func ParseSources(data []byte) ([]Repository, error) {
	var all []Repository
	err := Stanzas(bytes.NewReader(data), func(written Stanza) error {
		s := Stanza{} // apt takes field names in any case
		for name, value := range written {
			s[strings.ToLower(name)] = value
		}
		if slices.Contains([]string{"no", "false", "without", "off", "disable"}, strings.ToLower(s["enabled"])) {
			return nil
		}
		r := Repository{Suites: strings.Fields(s["suites"]), Components: strings.Fields(s["components"])}
		for uri := range strings.FieldsSeq(s["uris"]) {
			r.URIs = append(r.URIs, trimURI(uri))
		}
		if len(r.URIs) == 0 || len(r.Suites) == 0 {
			return errors.New("an entry without URIs or Suites")
		}
		if keyring := strings.TrimSpace(s["signed-by"]); strings.HasPrefix(keyring, "/") && !strings.ContainsAny(keyring, "\n ") {
			r.SignedBy = keyring
		}
		all = append(all, r)
		return nil
	})
	return all, err
}

func trimURI(uri string) string { return strings.TrimRight(uri, "/") }

// codenames are the suites by which an entry is known to be the Debian
// archive; a host of another distribution does not use them.
var codenames = []string{"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable"}

// DebianMirrors returns the base URIs of the repositories that carry the
// archive name: "debian", or "debian-security". Entries that look most like
// the archive itself come first; a stranger that uses Debian's suite names
// only costs a miss, since everything fetched is pinned by its sum.
func DebianMirrors(repositories []Repository, name string) []string {
	var sure, maybe []string
	for _, r := range repositories {
		if !slices.Contains(r.Components, "main") || !slices.ContainsFunc(r.Suites, func(suite string) bool {
			return archiveOf(suite) == name
		}) {
			continue
		}
		for _, uri := range r.URIs {
			list := &maybe
			if strings.HasSuffix(uri, "/"+name) {
				list = &sure
			}
			if !slices.Contains(*list, uri) {
				*list = append(*list, uri)
			}
		}
	}
	return append(sure, maybe...)
}

func archiveOf(suite string) string {
	base, update, _ := strings.Cut(suite, "-")
	if slash, rest, ok := strings.Cut(suite, "/"); ok {
		base, update = slash, rest
	}
	if !slices.Contains(codenames, base) {
		return ""
	}
	switch update {
	case "", "updates", "backports", "proposed-updates":
		if strings.Contains(suite, "/") && update == "updates" {
			return "debian-security"
		}
		return "debian"
	case "security":
		return "debian-security"
	}
	return ""
}

// Keyrings returns the keyring files that entries of the archive name, in
// order, followed by Debian's usual place.
func Keyrings(repositories []Repository) []string {
	var paths []string
	for _, r := range repositories {
		if r.SignedBy != "" && slices.ContainsFunc(r.Suites, func(s string) bool { return archiveOf(s) == "debian" }) &&
			!slices.Contains(paths, r.SignedBy) {
			paths = append(paths, r.SignedBy)
		}
	}
	const usual = "/usr/share/keyrings/debian-archive-keyring.gpg"
	if !slices.Contains(paths, usual) {
		paths = append(paths, usual)
	}
	return paths
}
