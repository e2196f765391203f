package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/solver/cases"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
)

// patience bounds how long the solver may take where the request does not;
// requests over a whole distribution take a fraction of a second.
const patience = 2 * time.Minute

// question is what the solver is asked, and of what.
type question struct {
	records    []system.Record // what is installed
	priorities map[string]int  // of the enabled repositories, by name
	offers     offers
	request    solver.Request
	given      []*packageFile  // package files to choose from too
	replaced   []system.Record // installed builds that another content of the same version takes the place of
	locked     *Lock           // choose from its packages only
	thorough   bool            // give a universe also if nothing changes
	patience   time.Duration   // 0 means the usual one
}

// solve answers the plan's question.
func (p *Plan) solve(ctx context.Context) (*solver.Solution, error) {
	defer p.session.phase("solve")()
	p.ask.thorough = p.request.Autoremove || p.request.World != nil
	if p.request.SaveCase != "" {
		if err := p.ask.save(ctx, p.request.SaveCase); err != nil {
			return nil, err
		}
	}
	u, solution, err := p.ask.answer(ctx)
	if failed := p.session.client.Err(); failed != nil {
		return nil, failed
	}
	p.universe = u
	var late *solver.Timeout
	if errors.As(err, &late) && ctx.Err() == nil {
		err = fault.Mark(err, fault.Failed, "ask for fewer packages at a time, or allow more with --solve-timeout; --save-case DIR writes the question for a report")
	}
	return solution, err
}

// save writes the question as a case for pkgtool solve, with everything that
// could matter to it.
func (q *question) save(ctx context.Context, dir string) error {
	u, err := q.gather(ctx, false)
	if err != nil {
		return err
	}
	_, err = cases.Write(dir, u.packages, q.request)
	return err
}

// answer finds the best solution. It first looks only at what is installed and
// what the request itself brings, which is all that most requests need; where
// that does not give a solution that is the best one whatever else there is, it
// looks at everything. The universe is nil if everything stays.
func (q *question) answer(ctx context.Context) (*universe, *solver.Solution, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(q.patience, patience))
	defer cancel()
	q.request.Upgrade, q.request.UpgradeAll = q.targets(), false
	if !q.thorough && q.onlyUpgrades() && !q.anyNewer() {
		return nil, q.unchanged(), nil
	}
	u, err := q.gather(ctx, true)
	if err != nil {
		return nil, nil, err
	}
	solution, err := solver.Solve(ctx, u.packages, q.request)
	if err == nil && q.isBest(u, solution) {
		return u, solution, nil
	}
	var unsolvable *solver.Unsolvable
	if err != nil && !errors.As(err, &unsolvable) {
		return nil, nil, err
	}
	if u, err = q.gather(ctx, false); err != nil {
		return nil, nil, err
	}
	solution, err = solver.Solve(ctx, u.packages, q.request)
	return u, solution, err
}

// gather makes the universe for the question.
func (q *question) gather(ctx context.Context, narrow bool) (u *universe, err error) {
	if u, err = newUniverse(q.records, q.priorities); err != nil {
		return nil, err
	}
	for _, f := range q.given {
		if _, err := u.addFile(f); err != nil {
			return nil, err
		}
	}
	for _, replaced := range q.replaced {
		for _, p := range slices.Clone(u.installed[replaced.Name]) {
			if p.ID == replaced.Manifest {
				u.forget(p)
			}
		}
	}
	if q.locked != nil {
		return u, q.addLocked(ctx, u)
	}
	r := newReach(u, q.offers, narrow, q.request.AllowVendorChange)
	if err := r.targets(q.targets()); err != nil {
		return nil, err
	}
	if narrow {
		return u, r.wishes(&q.request)
	}
	return u, r.everything(&q.request)
}

// anyNewer reports whether an upgrade of any target could lead anywhere.
func (q *question) anyNewer() bool {
	newest := map[string]*system.Record{}
	for i := range q.records {
		r := &q.records[i]
		if old := newest[r.Name]; old == nil || r.Version.Compare(old.Version) > 0 {
			newest[r.Name] = r
		}
	}
	return slices.ContainsFunc(q.targets(), func(name string) bool {
		_, any := candidates(installedPackage(newest[name], q.priorities), q.offers)
		return any
	})
}

// targets are the names to bring up to date; those that are held are not.
func (q *question) targets() []string {
	names := slices.Clone(q.request.Upgrade)
	if q.request.UpgradeAll {
		names = nil
		for i := range q.records {
			names = append(names, q.records[i].Name)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return slices.Contains(q.request.Hold, name) })
}

// onlyUpgrades reports whether the request is to bring packages up to date that
// are installed, and nothing else.
func (q *question) onlyUpgrades() bool {
	r := &q.request
	for _, name := range r.Upgrade {
		if !slices.ContainsFunc(q.records, func(o system.Record) bool { return o.Name == name }) {
			return false
		}
	}
	return len(r.Install)+len(r.Remove)+len(r.Downgrade)+len(r.Reinstall) == 0
}

// unchanged is the solution in which everything stays.
func (q *question) unchanged() *solver.Solution {
	s := &solver.Solution{}
	for i := range q.records {
		r := &q.records[i]
		s.Keep = append(s.Keep, &solver.Package{Name: r.Name, Version: r.Version, Installed: true, Requested: r.Requested})
	}
	return s
}

// isBest reports whether a solution over a narrow universe is the best one over
// every universe: nothing goes or becomes older that was not named, no vendor
// changes, what was named has its best build, and nothing else changes. No wider choice does
// better in any of these, and each of them weighs more than what remains.
func (q *question) isBest(u *universe, s *solver.Solution) bool {
	if q.locked != nil {
		return true
	}
	if len(s.Held) > 0 || len(q.request.Downgrade) > 0 {
		return false
	}
	for _, step := range s.Remove {
		if step.Why != "requested" {
			return false
		}
	}
	for _, step := range s.Upgrade {
		if step.From != nil && step.From.Vendor != step.Package.Vendor && !q.request.AllowVendorChange {
			return false
		}
		named := q.request.UpgradeAll || slices.Contains(q.request.Upgrade, step.Package.Name) || slices.Contains(q.request.Reinstall, step.Package.Name)
		if !named && !slices.ContainsFunc(q.request.Install, func(d version.Dependency) bool { return d.Name == step.Package.Name }) {
			return false
		}
	}
	after := s.Installed()
	for _, d := range q.request.Install {
		if !u.hasBest(d, after) {
			return false
		}
	}
	return !u.replaceable(q.targets(), s)
}

// replaceable reports whether something on offer replaces a package to bring up
// to date that stays.
func (u *universe) replaceable(targets []string, s *solver.Solution) bool {
	stays := map[string]bool{}
	for _, p := range s.Installed() {
		stays[p.Name] = true
	}
	for _, p := range u.packages {
		if p.Installed {
			continue
		}
		for _, d := range p.Replaces {
			for alternative := range d.Alternatives() {
				if stays[alternative.Name] && alternative.Name != p.Name && slices.Contains(targets, alternative.Name) {
					return true
				}
			}
		}
	}
	return false
}

// hasBest reports whether the best package that a wish can mean is among those
// installed afterwards.
func (u *universe) hasBest(d version.Dependency, after []*solver.Package) bool {
	if len(d.Or) > 0 {
		return false
	}
	var best *solver.Package
	for _, q := range u.packages {
		if q.Name != d.Name || !d.Constraint.Allows(q.Version) {
			continue
		}
		if best == nil || q.Priority > best.Priority || q.Priority == best.Priority && q.Version.Compare(best.Version) > 0 {
			best = q
		}
	}
	return best != nil && slices.ContainsFunc(after, func(q *solver.Package) bool {
		return q.Name == best.Name && q.Version.Compare(best.Version) == 0
	})
}

// addLocked adds the packages of a lock file to a universe, each by the hash of
// its manifest.
func (q *question) addLocked(ctx context.Context, u *universe) (err error) {
	var missing []error
	security := false
	for i := range q.locked.Packages {
		want := &q.locked.Packages[i]
		if slices.ContainsFunc(u.installed[want.Name], func(p *solver.Package) bool { return p.ID == want.Manifest }) {
			continue
		}
		found, other := false, ""
		for _, e := range q.offers.ByName(want.Name) {
			if e.Manifest == want.Manifest {
				if _, err := u.addEntry(e); err != nil {
					return err
				}
				found = true
				break
			}
			if v, err := e.EVR(); err == nil && v.Compare(want.Version) == 0 {
				other = e.Repo
			}
		}
		if !found && other == "" {
			if found, err = q.addSuperseded(ctx, u, want); err != nil {
				missing = append(missing, err)
			}
		}
		switch {
		case found:
		case other != "":
			security = true
			missing = append(missing, fmt.Errorf("%s: repository %s offers this version with another content than the lock file names", want, other))
		default:
			missing = append(missing, fmt.Errorf("%s: no repository offers it", want))
		}
	}
	err = errors.Join(missing...)
	if security {
		return fault.Mark(err, fault.Security, "if the publisher rebuilt it and you trust that, make a new lock file: pkgtool lock")
	}
	return fault.Mark(err, fault.Unsolvable, "enable the repository that the lock file was made with, or make a new lock file: pkgtool lock")
}

// addSuperseded adds a package of a lock file that is not on offer any more and
// that a repository still has.
func (q *question) addSuperseded(ctx context.Context, u *universe, want *LockedPackage) (bool, error) {
	has, ok := q.offers.(interface {
		Superseded(ctx context.Context, name, manifest string) (*client.Entry, error)
	})
	if !ok {
		return false, nil
	}
	e, err := has.Superseded(ctx, want.Name, want.Manifest)
	if e == nil || err != nil {
		return false, err
	}
	p, err := u.addEntry(*e)
	return p != nil, err
}
