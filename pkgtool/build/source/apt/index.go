package apt

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// Package is one binary package of a Packages index.
type Package struct {
	Name, Version, Arch string
	Path                string // below the mirror's base, pool/...
	File                File
	Depends             []Dependency // Pre-Depends and Depends
	Provides            []string     // names only
}

// Dependency is a list of alternatives, best first; versions are not kept,
// because one release of Debian is consistent in itself.
type Dependency []string

// SourcePackage is one source package of a Sources index.
type SourcePackage struct {
	Name, Version string
	Files         []SourceFile
}

// SourceFile is one file of a source package.
type SourceFile struct {
	Path string
	File File
}

// ReadPackages reads a Packages index. A name that occurs twice keeps the
// later entry, which is the newer one in Debian's indexes.
func ReadPackages(r io.Reader) (map[string]*Package, error) {
	all := map[string]*Package{}
	err := Stanzas(r, func(s Stanza) error {
		p := &Package{Name: s["Package"], Version: s["Version"], Arch: s["Architecture"], Path: s["Filename"]}
		if p.Name == "" || !cleanPath(p.Path) {
			return fmt.Errorf("package %.60q: bad name or path %.120q", p.Name, p.Path)
		}
		var err error
		if p.File, err = parseFile(s["SHA256"], s["Size"]); err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
		p.Depends = append(ParseDepends(s["Pre-Depends"]), ParseDepends(s["Depends"])...)
		for _, alternatives := range ParseDepends(s["Provides"]) {
			p.Provides = append(p.Provides, alternatives...)
		}
		all[p.Name] = p
		return nil
	})
	return all, err
}

// ParseDepends reads a relation field: a comma separates dependencies, a bar
// alternatives. Version, architecture and build-profile parts are dropped.
func ParseDepends(field string) []Dependency {
	var all []Dependency
	for part := range strings.SplitSeq(field, ",") {
		var alternatives Dependency
		for alternative := range strings.SplitSeq(part, "|") {
			name := strings.TrimSpace(alternative)
			if end := strings.IndexAny(name, " \t\n([<"); end >= 0 {
				name = name[:end]
			}
			name, _, _ = strings.Cut(name, ":")
			if name != "" {
				alternatives = append(alternatives, name)
			}
		}
		if len(alternatives) > 0 {
			all = append(all, alternatives)
		}
	}
	return all
}

// ReadSources calls each for every source package of a Sources index.
func ReadSources(r io.Reader, each func(*SourcePackage) error) error {
	return Stanzas(r, func(s Stanza) error {
		p := &SourcePackage{Name: s["Package"], Version: s["Version"]}
		for _, line := range lines(s["Checksums-Sha256"]) {
			fields := strings.Fields(line)
			if len(fields) != 3 {
				return fmt.Errorf("source %.60q: bad line %.120q", p.Name, line)
			}
			f, err := parseFile(fields[0], fields[1])
			if err != nil {
				return fmt.Errorf("source %.60q: %w", p.Name, err)
			}
			where := s["Directory"] + "/" + fields[2]
			if !cleanPath(where) {
				return fmt.Errorf("source %.60q: bad path %.120q", p.Name, where)
			}
			p.Files = append(p.Files, SourceFile{where, f})
		}
		return each(p)
	})
}

func cleanPath(p string) bool {
	return p != "" && p[0] != '/' && path.Clean(p) == p && p != "." && !strings.HasPrefix(p, "..") &&
		!strings.ContainsFunc(p, func(r rune) bool { return r < 0x21 || r == 0x7f })
}
