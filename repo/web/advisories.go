package web

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"ashlar/repo/advisory"
	"ashlar/repo/index"
)

// Limits of what is shown of an advisory.
const (
	maxDetails    = 20_000 // characters
	maxConcerned  = 200    // packages, references, versions
	advisoryPages = 100    // advisories on a page of the list
)

// warning is an advisory that concerns a build.
type warning struct {
	ID       string   `json:"id"`
	Aliases  []string `json:"aliases,omitempty"`
	Summary  string   `json:"summary,omitempty"`
	Severity []string `json:"severity,omitempty"`
	Fixed    string   `json:"fixed,omitempty"` // first build that is not affected
	Link     string   `json:"-"`
}

func advisoryLink(id string) string { return "advisory/" + url.PathEscape(id) + "/" }

// warnings lists the advisories that affect a build.
func (s *state) warnings(e *index.Entry) []warning {
	all := []warning{}
	v, err := e.EVR()
	if err != nil {
		return all
	}
	for _, a := range s.about[e.Name] {
		if affected, fixed := a.Affects(e.Name, v); affected {
			all = append(all, warning{a.ID, some(a.Aliases), line(a.Summary, maxSummary), severities(a), line(fixed, maxText), advisoryLink(a.ID)})
		}
	}
	return all
}

func severities(a *advisory.Advisory) (texts []string) {
	for _, s := range a.Severity[:min(len(a.Severity), maxBecause)] {
		texts = append(texts, line(s.Score, maxText))
	}
	return texts
}

// some makes a list of short texts fit to be shown.
func some(texts []string) (shown []string) {
	for _, text := range texts[:min(len(texts), maxConcerned)] {
		shown = append(shown, line(text, maxText))
	}
	return shown
}

// advisoryList is a page of the list of advisories, those modified last first.
type advisoryList struct {
	Total      int            `json:"total"`
	Page       int            `json:"page"`
	Pages      int            `json:"pages"`
	Advisories []advisoryLine `json:"advisories"`
}

type advisoryLine struct {
	ID        string    `json:"id"`
	Aliases   []string  `json:"aliases,omitempty"`
	Modified  time.Time `json:"modified"`
	Summary   string    `json:"summary,omitempty"`
	Packages  []string  `json:"packages"`            // that are on offer here
	Elsewhere []string  `json:"elsewhere,omitempty"` // that are not
	Withdrawn bool      `json:"withdrawn,omitempty"`
	Link      string    `json:"-"`
}

// Turn leads to the other pages of the list.
func (l *advisoryList) Turn() turn {
	return turning(l.Page, l.Pages, numbered("advisory/", advisoryPagePrefix))
}

// advisoryList is nil if there is no such page.
func (s *state) advisoryList(page int) *advisoryList {
	sorted := slices.SortedFunc(slices.Values(s.advisories), func(a, b *advisory.Advisory) int {
		return cmp.Or(b.Modified.Compare(a.Modified), cmp.Compare(a.ID, b.ID))
	})
	l := &advisoryList{Total: len(sorted), Page: page, Pages: max(1, (len(sorted)+advisoryPages-1)/advisoryPages), Advisories: []advisoryLine{}}
	if page > l.Pages {
		return nil
	}
	first := (page - 1) * advisoryPages
	for _, a := range sorted[first:min(first+advisoryPages, len(sorted))] {
		one := advisoryLine{ID: a.ID, Aliases: some(a.Aliases), Modified: a.Modified, Summary: line(a.Summary, maxSummary),
			Packages: []string{}, Withdrawn: !a.Withdrawn.IsZero(), Link: advisoryLink(a.ID)}
		for _, name := range some(a.Packages()) {
			if _, offered := slices.BinarySearch(s.names, name); offered {
				one.Packages = append(one.Packages, name)
			} else {
				one.Elsewhere = append(one.Elsewhere, name)
			}
		}
		l.Advisories = append(l.Advisories, one)
	}
	return l
}

// advisoryView is the page of an advisory. Its JSON is the document itself.
type advisoryView struct {
	ID, Summary, Details           string
	Aliases, Severity              []string
	Published, Modified, Withdrawn time.Time
	Packages                       []concerned
	References                     []reference

	document *advisory.Advisory
}

// concerned is a package that an advisory is about.
type concerned struct {
	Name     string
	Offered  bool     // here
	Ranges   []string // of affected versions, in words
	Affected []row    // builds on offer that are affected
	Free     []row    // builds on offer that are not
}

type reference struct{ Type, Text, Address string }

// MarshalJSON returns the document as its author wrote it.
func (v *advisoryView) MarshalJSON() ([]byte, error) { return v.document.MarshalJSON() }

func (s *state) advisoryView(a *advisory.Advisory) (*advisoryView, error) {
	v := &advisoryView{ID: a.ID, Summary: line(a.Summary, maxText), Details: lines(a.Details, maxDetails), Aliases: some(a.Aliases),
		Severity: severities(a), Published: a.Published, Modified: a.Modified, Withdrawn: a.Withdrawn, document: a}
	names := a.Packages()
	for _, name := range names[:min(len(names), maxConcerned)] {
		c := concerned{Name: name, Ranges: ranges(a, name)}
		all, err := s.buildsOf(name)
		if err != nil {
			return nil, err
		}
		c.Offered = len(all) > 0
		for i := range all[:min(len(all), maxBuilds)] {
			b := &all[i]
			version, err := b.EVR()
			if err != nil {
				return nil, err
			}
			r := row{Version: label(&b.Entry, false), Arch: b.Arch, Channels: b.Channels, Link: buildLink(all, b)}
			if affected, _ := a.Affects(name, version); affected {
				c.Affected = append(c.Affected, r)
			} else {
				c.Free = append(c.Free, r)
			}
		}
		v.Packages = append(v.Packages, c)
	}
	for _, r := range a.References[:min(len(a.References), maxConcerned)] {
		v.References = append(v.References, reference{line(strings.ToLower(r.Type), maxText), line(r.URL, maxText), address(r.URL)})
	}
	return v, nil
}

// ranges tells which versions of a package are affected, in words.
func ranges(a *advisory.Advisory, name string) (texts []string) {
	for _, f := range a.Affected {
		if f.Package.Name != name {
			continue
		}
		for _, r := range f.Ranges {
			if r.Type == "GIT" {
				continue
			}
			var parts []string
			for _, e := range r.Events[:min(len(r.Events), maxConcerned)] {
				parts = append(parts, inWords(e))
			}
			texts = append(texts, line(strings.Join(parts, ", "), maxSummary))
		}
		if len(f.Versions) > 0 {
			texts = append(texts, line(strings.Join(some(f.Versions), ", "), maxSummary))
		}
	}
	return texts[:min(len(texts), maxConcerned)]
}

func inWords(e advisory.Event) string {
	switch {
	case e.Introduced == "0":
		return "all versions"
	case e.Introduced != "":
		return "from " + e.Introduced + " on"
	case e.Fixed != "":
		return "fixed in " + e.Fixed
	case e.LastAffected != "":
		return "up to and with " + e.LastAffected
	}
	return "before " + e.Limit
}
