package install

import (
	"slices"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
)

// offers answers what repositories have: a [client.Client] does.
type offers interface {
	ByName(name string) []client.Entry
	Providers(name string) []client.Entry // the name itself included
	Replacers(name string) []client.Entry
	Supplementers(name string) []client.Entry
}

// reach adds to a universe what repositories offer, as far as chains of
// requirements, recommendations and supplements lead. In a narrow one they end
// at what is installed and stays: what such a package fulfils already is not
// looked for, and no other build of an installed package is looked at unless
// the request can lead to it.
type reach struct {
	universe *universe
	offers   offers
	narrow   bool
	provided map[string][]*solver.Package // installed packages by what they provide; narrow only
	moving   map[string]bool              // names of installed packages that the request may change or remove
	seen     map[string]bool              // names followed already
	builds   map[string]bool              // names of which all builds were added
	queue    []*solver.Package
	failure  error

	vendorsMayChange bool // the request says so
}

func newReach(u *universe, o offers, narrow, vendorsMayChange bool) *reach {
	r := &reach{universe: u, offers: o, narrow: narrow, vendorsMayChange: vendorsMayChange, moving: map[string]bool{}, seen: map[string]bool{}, builds: map[string]bool{}}
	if narrow {
		r.provided = map[string][]*solver.Package{}
		for _, p := range u.packages {
			if !p.Installed {
				continue
			}
			for _, provide := range p.Provides {
				r.provided[provide.Name] = append(r.provided[provide.Name], p)
			}
		}
	}
	for p := range u.files {
		r.queue = append(r.queue, p)
		r.moving[p.Name] = true
	}
	return r
}

// everything follows all that could matter to a request.
func (r *reach) everything(request *solver.Request) error {
	for name := range r.universe.installed {
		r.add(r.offers.ByName(name))
		r.add(r.offers.Replacers(name))
	}
	for _, p := range slices.Clone(r.universe.packages) {
		if p.Installed {
			r.queue = append(r.queue, p)
		}
	}
	return r.wishes(request)
}

// targets follows what an upgrade of installed packages can lead to.
func (r *reach) targets(names []string) error {
	for _, name := range names {
		if p := r.universe.newest(name); p != nil { // else the solver refuses it
			if found, any := candidates(p, r.offers); any {
				r.moving[name] = true
				r.add(found)
			}
		}
	}
	return r.failure
}

// candidates lists what is on offer for the place of an installed package, and
// reports whether an upgrade could take any of it.
func candidates(p *solver.Package, o offers) (found []client.Entry, any bool) {
	found = o.ByName(p.Name)
	priority, newest := worth(p, found), p.Version
	for _, e := range found {
		any = any || better(p, priority, e)
		if v, err := e.EVR(); err == nil && v.Compare(newest) > 0 {
			newest = v
		}
	}
	for _, e := range o.Replacers(p.Name) {
		if e.Name != p.Name && replaces(e.Replaces, p.Name, newest) {
			found, any = append(found, e), true
		}
	}
	return found, any
}

// replaces reports whether one of the dependencies means a version of a name.
func replaces(texts []string, name string, v version.Version) bool {
	for _, text := range texts {
		d, err := version.ParseDependency(text)
		if err != nil {
			return true // whoever reads all of it says what is wrong
		}
		for alternative := range d.Alternatives() {
			if alternative.Name == name && alternative.Constraint.Allows(v) {
				return true
			}
		}
	}
	return false
}

// wishes follows the packages that a request names, and then all that waits.
func (r *reach) wishes(request *solver.Request) error {
	for _, text := range slices.Concat(request.Downgrade, request.Reinstall, request.Remove) {
		if d, err := version.ParseDependency(text); err == nil { // else the solver refuses it
			r.moving[d.Name] = true
		}
	}
	for _, d := range request.Install {
		for alternative := range d.Alternatives() {
			r.moving[alternative.Name] = true
		}
	}
	for _, d := range request.Install {
		for alternative := range d.Alternatives() {
			r.name(alternative.Name)
		}
	}
	for _, text := range slices.Concat(request.Downgrade, request.Reinstall) {
		if d, err := version.ParseDependency(text); err == nil {
			r.name(d.Name)
		}
	}
	if r.narrow { // what moves may leave others without what they require
		for _, p := range r.universe.packages {
			if p.Installed {
				for _, d := range p.Requires {
					r.follow(d)
				}
			}
		}
	}
	for len(r.queue) > 0 && r.failure == nil {
		p := r.queue[0]
		r.queue = r.queue[1:]
		if !p.Installed && !r.builds[p.Name] { // an old build is one because there is a newer one
			r.builds[p.Name] = true
			r.add(r.offers.ByName(p.Name))
		}
		for _, d := range slices.Concat(p.Requires, p.Recommends) {
			r.follow(d)
		}
		if !p.Installed || !r.narrow {
			r.supplements(p)
		}
	}
	return r.failure
}

// supplements follows what comes along with p.
func (r *reach) supplements(p *solver.Package) {
	r.add(r.offers.Supplementers(p.Name))
	for _, provide := range p.Provides {
		r.add(r.offers.Supplementers(provide.Name))
	}
}

// follow leads to what can fulfil a dependency.
func (r *reach) follow(d version.Dependency) {
	if r.narrow && r.fulfilled(d) {
		return
	}
	for alternative := range d.Alternatives() {
		r.name(alternative.Name)
	}
}

// fulfilled reports whether an installed package that stays fulfils d.
func (r *reach) fulfilled(d version.Dependency) bool {
	for alternative := range d.Alternatives() {
		for _, p := range r.universe.installed[alternative.Name] {
			if !r.moving[p.Name] && alternative.Constraint.Allows(p.Version) {
				return true
			}
		}
		for _, p := range r.provided[alternative.Name] {
			if !r.moving[p.Name] && slices.ContainsFunc(p.Provides, alternative.SatisfiedBy) {
				return true
			}
		}
	}
	return false
}

// name leads to the packages of a name and to those that provide it.
func (r *reach) name(name string) {
	if r.seen[name] {
		return
	}
	r.seen[name] = true
	r.add(r.offers.Providers(name))
}

func (r *reach) add(entries []client.Entry) {
	for _, e := range entries {
		p, err := r.universe.addEntry(e)
		if err != nil && r.failure == nil {
			r.failure = err
		}
		if p != nil {
			r.restrain(p)
			r.queue = append(r.queue, p)
		}
	}
}
