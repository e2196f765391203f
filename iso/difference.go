package iso

import (
	"slices"
	"strings"
)

// Difference is what differs between two images.
type Difference struct {
	Schema   int             `json:"schema"` // 1
	Fields   []FieldChange   `json:"fields"`
	Packages []PackageChange `json:"packages"`
}

// FieldChange is another kernel, command line or time.
type FieldChange struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// PackageChange is a package that came ("added"), went ("removed"), has another
// version ("changed"), or the same with other content ("rebuilt").
type PackageChange struct {
	Name string `json:"name"`
	What string `json:"what"`
	Old  string `json:"old,omitempty"` // version
	New  string `json:"new,omitempty"`
}

// Compare says what differs between the images that two manifests describe.
func Compare(before, after *Manifest) *Difference {
	d := &Difference{Schema: 1, Fields: []FieldChange{}, Packages: []PackageChange{}}
	for _, f := range []FieldChange{{"name", before.Name, after.Name}, {"summary", before.Summary, after.Summary}, {"format", before.Format, after.Format},
		{"kernel", before.Kernel, after.Kernel}, {"cmdline", before.Cmdline, after.Cmdline}} {
		if f.Old != f.New {
			d.Fields = append(d.Fields, f)
		}
	}
	known := map[string]ManifestPackage{}
	for _, p := range before.Packages {
		known[p.Name] = p
	}
	for _, p := range after.Packages {
		old, ok := known[p.Name]
		delete(known, p.Name)
		switch {
		case !ok:
			d.Packages = append(d.Packages, PackageChange{p.Name, "added", "", p.Version})
		case old.Version != p.Version:
			d.Packages = append(d.Packages, PackageChange{p.Name, "changed", old.Version, p.Version})
		case old.SHA256 != p.SHA256:
			d.Packages = append(d.Packages, PackageChange{p.Name, "rebuilt", old.Version, p.Version})
		}
	}
	for _, p := range known {
		d.Packages = append(d.Packages, PackageChange{p.Name, "removed", p.Version, ""})
	}
	slices.SortFunc(d.Packages, func(a, b PackageChange) int { return strings.Compare(a.Name, b.Name) })
	return d
}
