package solver

import (
	"fmt"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

// Request is what a person asks for.
type Request struct {
	Install    []version.Dependency // packages, or capabilities that some package provides
	Remove     []string             // names of installed packages
	Upgrade    []string             // names of installed packages to bring up to date
	UpgradeAll bool                 // all installed packages
	Hold       []string             // names that stay as they are: this version, or absent

	Arch         string // packages of another architecture are left out; "" takes all
	NoRecommends bool   // install no package merely because it is recommended
}

// checkNames refuses to remove or upgrade what is not installed.
func (r Request) checkNames(pool *pool) error {
	for _, name := range slices.Concat(r.Remove, r.Upgrade) {
		if pool.installed[name] == nil {
			return fault.Mark(fmt.Errorf("package %s is not installed", name), fault.Usage, "see what is: pkgtool list")
		}
	}
	return nil
}

// targets returns the installed packages to bring up to date, by name.
func (r Request) targets(pool *pool) []*Package {
	var targets []*Package
	for _, p := range pool.packages {
		if p.Installed && (r.UpgradeAll || slices.Contains(r.Upgrade, p.Name)) && !slices.Contains(r.Remove, p.Name) {
			targets = append(targets, p)
		}
	}
	return targets
}
