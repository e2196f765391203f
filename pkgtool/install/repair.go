package install

import (
	"context"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"
)

// Repair puts right what Verify finds: from the store where it has the content,
// else from the repositories. Edited configuration files are no damage and stay.
// It returns what Verify found and the generation that holds the repair, which
// is the present one if there was nothing to do.
func (s *Session) Repair(ctx context.Context, opts system.VerifyOptions, progress Progress) ([]system.Problem, int, error) {
	if err := s.system.Lock(s.opts.Command); err != nil {
		return nil, 0, err
	}
	problems, err := s.system.Verify(ctx, opts)
	if err != nil {
		return nil, 0, err
	}
	damage := slices.DeleteFunc(slices.Clone(problems), func(p system.Problem) bool { return p.Config })
	if len(damage) == 0 {
		return problems, s.system.Generation().Number, nil
	}
	p := &Plan{session: s, repaired: s.owners(damage)}
	defer p.Close()
	if err := p.planRepair(ctx, damage, progress); err != nil {
		return problems, 0, err
	}
	if err := p.Commit(ctx, progress); err != nil {
		return problems, 0, err
	}
	return problems, s.system.Generation().Number, nil
}

// owners names the packages whose content a repair may need: those with damage,
// and all if the store itself is damaged.
func (s *Session) owners(damage []system.Problem) []string {
	var names []string
	for _, d := range damage {
		if d.Package != "" {
			names = append(names, d.Package)
			continue
		}
		for _, r := range s.system.Installed() {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// planRepair asks the repositories only if the store does not do.
func (p *Plan) planRepair(ctx context.Context, damage []system.Problem, progress Progress) error {
	s := p.session
	inStore := slices.ContainsFunc(damage, func(d system.Problem) bool { return d.Package == "" })
	if !inStore {
		if planned, err := s.system.PlanRepair(ctx, damage, nil); err == nil {
			p.take(planned)
			return nil
		}
	}
	if err := s.offers(ctx, false); err != nil {
		return err
	}
	packages, err := p.originals(ctx, progress)
	if err != nil {
		return err
	}
	planned, err := s.system.PlanRepair(ctx, damage, packages)
	if err != nil {
		return fault.Mark(err, 0, "if a package is not on offer any more, give its file: pkgtool install FILE.ashlar")
	}
	p.take(planned)
	return nil
}
