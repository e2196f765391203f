package install

import (
	"slices"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/query"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/system"
)

// recordsAfter are the records that a solution leads to, as far as they tell who
// needs whom.
func (u *universe) recordsAfter(s *solver.Solution) []system.Record {
	var records []system.Record
	for _, p := range s.Installed() {
		var r system.Record
		if old := u.records[p]; old != nil {
			r = *old
		} else if f := u.files[p]; f != nil {
			m := f.Manifest()
			r = system.Record{Requires: m.Requires, Provides: m.Provides, Recommends: m.Recommends, Supplements: m.Supplements}
		} else {
			r = relationsOf(u.entries[p])
		}
		r.Name, r.Version, r.Arch, r.Manifest = p.Name, p.Version, p.Arch, p.ID
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b system.Record) int {
		return compareLocked(LockedPackage{Name: a.Name, Version: a.Version}, LockedPackage{Name: b.Name, Version: b.Version})
	})
	return records
}

func relationsOf(e client.Entry) system.Record {
	return system.Record{Requires: e.Requires, Provides: e.Provides, Recommends: e.Recommends, Supplements: e.Supplements, Repo: e.Repo}
}

// orphansAmong returns what nobody asked for and nothing asked for leads to, as
// "name version".
func orphansAmong(records []system.Record) ([]string, error) {
	graph, err := query.Installed(records)
	if err != nil {
		return nil, err
	}
	var orphans []string
	for _, n := range graph.Orphans() {
		orphans = append(orphans, n.ID())
	}
	return orphans, nil
}
