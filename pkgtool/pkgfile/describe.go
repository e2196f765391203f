package pkgfile

import (
	"fmt"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// Description is the YAML file from which a package is made of a folder without
// a recipe: for files of one's own, and for tests.
type Description struct {
	Schema      int       `yaml:"schema"` // 1
	Name        string    `yaml:"name"`
	Version     string    `yaml:"version"`
	Release     uint32    `yaml:"release,omitempty"` // 1 if absent
	Epoch       uint32    `yaml:"epoch,omitempty"`
	Arch        string    `yaml:"arch,omitempty"` // noarch if absent
	Upstream    string    `yaml:"upstream,omitempty"`
	Summary     string    `yaml:"summary,omitempty"`
	Description string    `yaml:"description,omitempty"`
	License     string    `yaml:"license,omitempty"`
	Homepage    string    `yaml:"homepage,omitempty"`
	Vendor      string    `yaml:"vendor,omitempty"`
	Date        string    `yaml:"date,omitempty"` // 2026-01-31: the time of every file; 1970-01-01 if absent
	Requires    []string  `yaml:"requires,omitempty"`
	Provides    []string  `yaml:"provides,omitempty"`
	Conflicts   []string  `yaml:"conflicts,omitempty"`
	Replaces    []string  `yaml:"replaces,omitempty"`
	Recommends  []string  `yaml:"recommends,omitempty"`
	Supplements []string  `yaml:"supplements,omitempty"`
	InstallOnly bool      `yaml:"install_only,omitempty"`
	Triggers    []Trigger `yaml:"triggers,omitempty"`
	Files       []Rule    `yaml:"files,omitempty"` // owners, modes and configuration; the last that fits wins
}

// ReadDescription reads a description file strictly.
func ReadDescription(path string) (*Description, error) {
	d := &Description{}
	if err := strictyaml.ReadFile(path, d); err != nil {
		return nil, err
	}
	if d.Schema != 1 {
		return nil, fault.Mark(fmt.Errorf("%s: schema %d is not known", path, d.Schema), fault.Usage, "write schema: 1")
	}
	return d, nil
}

// Manifest returns the package fields that the description gives.
func (d *Description) Manifest() (Manifest, error) {
	m := Manifest{
		Name: d.Name, Version: d.Version, Release: max(d.Release, 1), Epoch: d.Epoch, Arch: d.Arch, Upstream: d.Upstream,
		Summary: d.Summary, Description: d.Description, License: d.License, Homepage: d.Homepage, Vendor: d.Vendor,
		Requires: d.Requires, Provides: d.Provides, Conflicts: d.Conflicts, Replaces: d.Replaces, Recommends: d.Recommends,
		Supplements: d.Supplements, InstallOnly: d.InstallOnly, Triggers: d.Triggers,
		Provenance: Provenance{Origin: "import"},
	}
	if m.Arch == "" {
		m.Arch = "noarch"
	}
	if d.Date != "" {
		date, err := time.Parse(time.DateOnly, d.Date)
		if err != nil {
			return m, fault.Errorf(fault.Usage, "date %q is not like 2026-01-31", d.Date)
		}
		m.Provenance.Epoch = date.Unix()
	}
	return m, nil
}
