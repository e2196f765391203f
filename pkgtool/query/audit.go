package query

import (
	"slices"
	"strings"

	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
	"ashlar/repo/advisory"
)

// Finding is an installed package that an advisory says is vulnerable.
type Finding struct {
	Advisory  string              `json:"advisory"`
	Aliases   []string            `json:"aliases,omitempty"`
	Summary   string              `json:"summary,omitempty"`
	Severity  []advisory.Severity `json:"severity,omitempty"`
	Package   string              `json:"package"`
	Installed string              `json:"installed"`
	Fixed     string              `json:"fixed,omitempty"`     // first build that is not affected; "" if there is none yet
	Available string              `json:"available,omitempty"` // newest build on offer that is not affected
}

// Repaired is a vulnerability that the installed build of a package has fixed.
type Repaired struct {
	Advisory  string   `json:"advisory"`
	Aliases   []string `json:"aliases,omitempty"`
	Package   string   `json:"package"`
	Installed string   `json:"installed"`
}

// FindRepaired lists the advisories about the installed packages that do not
// affect the installed builds, sorted by package, then advisory.
func FindRepaired(records []system.Record, advisories []*advisory.Advisory) []Repaired {
	all := []Repaired{}
	about := byPackage(advisories)
	for i := range records {
		r := &records[i]
		for _, a := range about[r.Name] {
			if affected, _ := a.Affects(r.Name, r.Version); !affected && a.Withdrawn.IsZero() {
				all = append(all, Repaired{a.ID, a.Aliases, r.Name, r.Version.String()})
			}
		}
	}
	slices.SortFunc(all, func(a, b Repaired) int {
		return strings.Compare(a.Package+"\x00"+a.Installed+"\x00"+a.Advisory, b.Package+"\x00"+b.Installed+"\x00"+b.Advisory)
	})
	return all
}

func byPackage(advisories []*advisory.Advisory) map[string][]*advisory.Advisory {
	about := map[string][]*advisory.Advisory{}
	for _, a := range advisories {
		for _, name := range a.Packages() {
			about[name] = append(about[name], a)
		}
	}
	return about
}

// Audit compares the installed packages with advisories. offered returns the
// versions of a package that are on offer. The result is sorted by package,
// then advisory.
func Audit(records []system.Record, advisories []*advisory.Advisory, offered func(name string) []version.Version) []Finding {
	findings := []Finding{}
	about := byPackage(advisories)
	for i := range records {
		r := &records[i]
		for _, a := range about[r.Name] {
			affected, fixed := a.Affects(r.Name, r.Version)
			if !affected {
				continue
			}
			f := Finding{Advisory: a.ID, Aliases: a.Aliases, Summary: a.Summary, Severity: a.Severity,
				Package: r.Name, Installed: r.Version.String(), Fixed: fixed}
			var best version.Version
			for _, v := range offered(r.Name) {
				if bad, _ := a.Affects(r.Name, v); !bad && v.Compare(r.Version) > 0 && (f.Available == "" || v.Compare(best) > 0) {
					best, f.Available = v, v.String()
				}
			}
			findings = append(findings, f)
		}
	}
	slices.SortFunc(findings, func(a, b Finding) int {
		return strings.Compare(a.Package+"\x00"+a.Installed+"\x00"+a.Advisory, b.Package+"\x00"+b.Installed+"\x00"+b.Advisory)
	})
	return findings
}
