package solver

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

// Request is what a person asks for. The zero value asks for nothing, and gives
// back what is installed, made consistent if it is not.
type Request struct {
	Install    []version.Dependency // packages, or capabilities that some package provides
	Remove     []string             // installed packages: "name", or "name =1.2.3-4" or "name@1.2.3-4" for some builds of it
	Upgrade    []string             // names of installed packages to bring up to date
	UpgradeAll bool                 // all installed packages
	Downgrade  []string             // installed packages that shall become older: "name", or "name <2" to say how old
	Reinstall  []string             // names of installed packages to install again as they are
	Hold       []string             // names that stay as they are: these builds, or absent
	Pins       []version.Dependency // "name ^1": no other version of name may be installed

	AllowVendorChange bool // do not prefer that installed packages stay with their vendor

	Arch         string // packages of another architecture are left out; "" takes all
	NoRecommends bool   // install no package merely because it is recommended
}

// parsed is a request with its texts read.
type parsed struct {
	Request
	remove, downgrade []version.Dependency
	empty             bool // as if nothing were installed
}

// parse reads the texts of a request, in an order that does not depend on that of
// its lists. It refuses to change what is not installed.
func (r Request) parse(u *Universe) (*parsed, error) {
	r.Install, r.Pins = sorted(r.Install), sorted(r.Pins)
	p := &parsed{Request: r}
	for _, list := range []struct {
		texts []string
		into  *[]version.Dependency
	}{{r.Remove, &p.remove}, {r.Downgrade, &p.downgrade}} {
		for _, text := range list.texts {
			d, err := parseBuilds(text)
			if err == nil && len(d.Or) > 0 {
				err = fmt.Errorf("%q: name one package at a time", text)
			}
			if err != nil {
				return nil, fault.Mark(err, fault.Usage, "")
			}
			*list.into = append(*list.into, d)
		}
		*list.into = sorted(*list.into)
	}
	for _, list := range []*[]string{&p.Upgrade, &p.Reinstall, &p.Hold} {
		*list = slices.Compact(slices.Sorted(slices.Values(*list)))
	}
	for _, d := range p.remove {
		if !slices.ContainsFunc(u.installedBuilds(d.Name), func(i int32) bool { return d.Constraint.Allows(u.packages[i].Version) }) {
			return nil, notInstalled(d.String())
		}
	}
	for _, name := range slices.Concat(p.Upgrade, p.Reinstall, namesOf(p.downgrade)) {
		if len(u.installedBuilds(name)) == 0 {
			return nil, notInstalled(name)
		}
	}
	return p, nil
}

// parseBuilds reads "name", "name <2" or "name@1.2.3-4".
func parseBuilds(text string) (version.Dependency, error) {
	if name, at, found := strings.Cut(text, "@"); found && !version.IsCapability(name) {
		text = name + " " + at
	}
	return version.ParseForeignDependency(text)
}

func notInstalled(what string) error {
	return fault.Mark(fmt.Errorf("package %s is not installed", what), fault.Usage, "see what is: pkgtool list")
}

func sorted(list []version.Dependency) []version.Dependency {
	list = slices.Clone(list)
	slices.SortStableFunc(list, compareDependency)
	return slices.CompactFunc(list, func(a, b version.Dependency) bool { return compareDependency(a, b) == 0 })
}

func namesOf(list []version.Dependency) []string {
	var names []string
	for _, d := range list {
		names = append(names, d.Name)
	}
	return names
}

// removes reports whether the request removes p.
func (r *parsed) removes(p *Package) bool {
	return slices.ContainsFunc(r.remove, func(d version.Dependency) bool { return d.Name == p.Name && d.Constraint.Allows(p.Version) })
}

// targets returns the newest installed build of each name to bring up to date.
func (r *parsed) targets(u *Universe) []*Package {
	var targets []*Package
	if !r.UpgradeAll && len(r.Upgrade) == 0 {
		return nil
	}
	for _, i := range u.installed {
		p := u.packages[i]
		if u.newestInstalled(p.Name) == p && !r.removes(p) && !slices.Contains(r.Reinstall, p.Name) &&
			!slices.Contains(namesOf(r.downgrade), p.Name) && (r.UpgradeAll || slices.Contains(r.Upgrade, p.Name)) {
			targets = append(targets, p)
		}
	}
	return targets
}

// leavesOut reports whether p must not come in on anything's recommendation:
// the request removes, holds or pins it.
func (r *parsed) leavesOut(p *Package) bool {
	return r.removes(p) || slices.Contains(r.Hold, p.Name) ||
		slices.ContainsFunc(r.Pins, func(d version.Dependency) bool { return d.Name == p.Name && !d.Constraint.Allows(p.Version) })
}
