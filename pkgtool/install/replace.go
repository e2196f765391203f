package install

import (
	"math"
	"slices"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
)

// restrain makes a package on offer conflict with, rather than replace, those
// installed packages whose place it may not take unasked: else whoever publishes
// anything at all could have any package of a system removed.
func (r *reach) restrain(p *solver.Package) {
	forbidden := func(d version.Dependency) bool {
		for alternative := range d.Alternatives() {
			if old := r.universe.newest(alternative.Name); old != nil && old.Name != p.Name && !r.mayReplace(p, old) {
				return true
			}
		}
		return false
	}
	for _, d := range p.Replaces {
		if forbidden(d) {
			p.Conflicts = append(p.Conflicts, d)
		}
	}
	p.Replaces = slices.DeleteFunc(p.Replaces, forbidden)
}

// mayReplace reports whether a package may take the place of an installed one of
// another name: its repository's priority is not lower, and it is of the same
// vendor; or vendors may change, or the priority is higher than that of all
// repositories that have the package of the present vendor.
func (r *reach) mayReplace(p, old *solver.Package) bool {
	offers := r.offers.ByName(old.Name)
	if p.Priority < worth(old, offers) {
		return false
	}
	if r.vendorsMayChange || p.Vendor == "" || old.Vendor == "" || p.Vendor == old.Vendor {
		return true
	}
	present := presentVendor(old, offers)
	return present != math.MinInt && p.Priority > present
}

// presentVendor is the highest priority at which an installed package is on
// offer by its vendor; math.MinInt if it is not.
func presentVendor(old *solver.Package, offers []client.Entry) int {
	highest := math.MinInt
	for i := range offers {
		if offers[i].Vendor == old.Vendor {
			highest = max(highest, offers[i].Priority)
		}
	}
	return highest
}
