package cases

import (
	"context"
	"os"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"
)

// Checked tells which packages of a universe cannot be installed at all.
type Checked struct {
	Schema        int          `json:"schema"`   // 1
	Packages      int          `json:"packages"` // how many were decided
	Uninstallable []Impossible `json:"uninstallable"`
	Notes         []string     `json:"notes,omitempty"`
}

// Impossible is a package that cannot be installed, even on an empty system.
type Impossible struct {
	Step
	Reasons []string `json:"reasons"`
}

// CheckAll decides for every package of the universe in a file whether it can be
// installed on an empty system. With an arch, packages for other machines are
// left out.
func CheckAll(ctx context.Context, path, arch string) (*Checked, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Mark(err, fault.Usage, "")
	}
	defer f.Close()
	c := &Case{}
	if c.Universe, err = readUniverse(f, path); err != nil {
		return nil, err
	}
	bad, err := solver.NewUniverse(c.Universe.Packages).CheckAll(ctx, arch)
	if err != nil {
		return nil, err
	}
	checked := &Checked{Schema: 1, Uninstallable: []Impossible{}, Notes: c.Universe.Notes}
	for _, p := range c.Universe.Packages {
		if arch == "" || p.Arch == "" || p.Arch == arch || p.Arch == "noarch" {
			checked.Packages++
		}
	}
	for _, b := range bad {
		checked.Uninstallable = append(checked.Uninstallable, Impossible{c.step(b.Package, nil, ""), b.Reasons})
	}
	return checked, nil
}
