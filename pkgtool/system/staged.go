package system

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Stage does everything for a plan but the change itself: the generation is
// complete, with its contents in the store, and what runs is as it was. The next
// start of the machine makes it the current one ([System.PlanRollback], which
// goes forward as well). Any transaction before that drops it.
func (p *Plan) Stage(ctx context.Context, progress func(done, total int64)) error {
	s := p.system
	if err := s.Lock(p.next.Command); err != nil {
		return err
	}
	if s.generation.identity != p.from.identity || s.generation.Number != p.from.Number {
		return errChanged
	}
	if err := p.probe(ctx); err != nil {
		return err
	}
	if p.InPlace && p.treeChanges() {
		return errors.New("stage a plan: /usr cannot be exchanged as a whole here, so nothing can be prepared beside it; install without --stage")
	}
	if err := p.prepare(ctx, &journal{}, progress); err != nil {
		return errors.Join(err, s.discard())
	}
	if err := s.disk.linkGeneration(nextPath, p.next.Number); err != nil {
		return errors.Join(err, s.discard())
	}
	for _, step := range []func() error{
		s.store.Seal,
		func() error { return s.disk.unlink(journalPath + ".tmp") },
		func() error { return s.disk.removeAll(stagingDir) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("generation %d is staged, but not all of its traces are removed: %w", p.next.Number, err)
		}
	}
	return s.switchLoader(ctx, p.next)
}

// Staged is the generation that the next start makes the current one, or 0.
func (s *System) Staged() (int, error) {
	number, err := s.disk.generationLink(nextPath)
	if err != nil || number <= s.generation.Number {
		return 0, err
	}
	return number, nil
}

// DropStaged forgets a staged generation.
func (s *System) DropStaged(ctx context.Context) error {
	number, err := s.Staged()
	if err != nil || number == 0 {
		return err
	}
	if err := s.Lock([]string{"pkgtool", "unstage"}); err != nil {
		return err
	}
	if err := s.dropStaged(); err != nil {
		return err
	}
	return s.switchLoader(ctx, s.generation)
}

// dropStaged removes what was staged, unless it is the generation that the plan
// leads to.
func (s *System) dropStaged() error {
	number, err := s.disk.generationLink(nextPath)
	if err != nil || number == 0 {
		return err
	}
	if err := s.disk.linkGeneration(nextPath, 0); err != nil || number <= s.generation.Number {
		return err
	}
	return s.removeGeneration(number)
}

// withStaged adds what is staged to generations that must not be removed.
func (s *System) withStaged(generations []*Generation) ([]*Generation, error) {
	number, err := s.Staged()
	if err != nil || number == 0 {
		return generations, err
	}
	g, err := s.generationAt(number)
	return append(slices.Clone(generations), g), err
}

// makeRoom drops what was staged before a transaction that does not lead to it.
func (p *Plan) makeRoom() error {
	staged, err := p.system.Staged()
	if err != nil || staged == 0 || staged < p.next.Number {
		return err
	}
	return p.system.dropStaged()
}
