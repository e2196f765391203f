package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"ashlar/pkgtool/fault"
)

// GenerationAt returns a generation that has not been pruned.
func (s *System) GenerationAt(number int) (*Generation, error) {
	staged, err := s.Staged()
	if err != nil {
		return nil, err
	}
	g, err := s.disk.readGeneration(number)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) || err == nil && (number < 1 || number > s.generation.Number && number != staged) {
		return nil, fault.Mark(fmt.Errorf("there is no generation %d", number), fault.Usage, "see which there are: pkgtool history")
	}
	return g, err
}

// PlanRollback plans a new generation with the packages of an earlier one.
// Edited configuration files are merged as in an upgrade. Nothing needs to be
// fetched: what an earlier generation consists of is in the store.
func (s *System) PlanRollback(ctx context.Context, number int, command []string) (*Plan, error) {
	g, err := s.GenerationAt(number)
	if err != nil {
		return nil, err
	}
	t := &target{next: s.newGeneration(fmt.Sprintf("roll back to generation %d", number), command, time.Now())}
	if number > s.generation.Number { // what was staged keeps its number and stays
		t.next.Number, t.next.Reason, t.next.Command = number+1, g.Reason, g.Command
	}
	t.next.Packages, t.next.Generated = g.Packages, g.Generated
	t.next.Users, t.next.Groups = maps.Clone(g.Users), maps.Clone(g.Groups)
	known := newOwners()
	known.addGeneration(s.generation)
	delete(known.users, "root")
	delete(known.groups, "root")
	if t.next.Users == nil {
		t.next.Users, t.next.Groups = map[string]uint32{}, map[string]uint32{}
	}
	addNumbers(t.next.Users, known.users)
	addNumbers(t.next.Groups, known.groups)
	return s.plan(ctx, t, nil)
}
