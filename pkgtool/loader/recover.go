package loader

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"ashlar/pkgtool/system"
)

// Recover brings the system below root to rest before it starts: an interrupted
// transaction is finished or undone, then what the boot loader asked for is made
// so: an earlier generation that a person chose or that is the last good one, or
// the one that was staged. cmdline is the kernel's. What cannot be done is no
// error: the system starts as it is, and Problem says why.
func Recover(ctx context.Context, root, cmdline string) (*Boot, error) {
	b := &Boot{Mode: ModeDefault}
	for _, word := range strings.Fields(cmdline) {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "ashlar.generation":
			b.Requested, _ = strconv.Atoi(value)
		case "ashlar.boot":
			b.Mode = value
		}
	}
	s, err := system.Open(root)
	if err != nil {
		return b, err
	}
	defer s.Close()
	b.Done = s.Recovered()
	b.Generation = s.Generation().Number
	if err := b.change(ctx, s); err != nil {
		b.Problem = fmt.Sprintf("generation %d could not be reached: %v", b.Requested, err)
	}
	b.Generation = s.Generation().Number
	return b, nil
}

// change makes the generation current that was asked for.
func (b *Boot) change(ctx context.Context, s *system.System) error {
	current := s.Generation().Number
	staged, err := s.Staged()
	if err != nil {
		return err
	}
	asked := b.Mode == ModeChosen || b.Mode == ModeFallback || b.Requested == staged
	if b.Requested == 0 || b.Requested == current || !asked {
		return nil
	}
	if same, err := s.Same(b.Requested, current); err != nil || same {
		return err
	}
	command := []string{"start of the machine, " + b.Mode}
	plan, err := s.PlanRollback(ctx, b.Requested, command)
	if err != nil {
		return err
	}
	if err := plan.Commit(ctx, nil); err != nil {
		return err
	}
	b.From = current
	return nil
}

// Messages are for the console, one line each.
func (b *Boot) Messages() []string {
	var lines []string
	if b.Done != "" {
		lines = append(lines, b.Done)
	}
	switch {
	case b.From != 0 && b.Mode == ModeFallback:
		lines = append(lines, fmt.Sprintf("generation %d did not start in %d tries; going back to generation %d, as generation %d", b.From, MaxTries, b.Requested, b.Generation))
	case b.From != 0:
		lines = append(lines, fmt.Sprintf("going from generation %d to what generation %d has, as generation %d", b.From, b.Requested, b.Generation))
	}
	if b.Problem != "" {
		lines = append(lines, b.Problem)
	}
	return lines
}
