package install

import (
	"slices"

	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
)

// explainHeld notes the newer packages that an upgrade leaves out, and why.
func (p *Plan) explainHeld(solution *solver.Solution, holds []Hold) {
	for _, h := range solution.Held {
		if !isHeld(holds, h.Name) {
			p.Held = append(p.Held, Held{Name: h.Name, Version: h.Version.String(), Why: h.Why})
		}
	}
	for _, h := range holds {
		if p.request.UpgradeAll || slices.Contains(p.request.Upgrade, h.Name) {
			p.noteHold(h)
		}
	}
}

// noteHold notes that the administrator keeps a package from being upgraded.
func (p *Plan) noteHold(h Hold) {
	installed := p.session.system.Package(h.Name)
	if installed == nil {
		return
	}
	q := installedPackage(installed, p.ask.priorities)
	offers := p.ask.offers.ByName(h.Name)
	priority, newest := worth(q, offers), version.Version{}
	for _, e := range offers {
		if v, err := e.EVR(); err == nil && better(q, priority, e) && (newest.Semver == nil || v.Compare(newest) > 0) {
			newest = v
		}
	}
	if newest.Semver == nil {
		return
	}
	why := "you hold it"
	if h.Reason != "" {
		why += ": " + h.Reason
	}
	p.Held = append(p.Held, Held{Name: h.Name, Version: newest.String(), Why: why, ByYou: true})
}
