package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/system/store"
)

// finishOrDiscard brings the system to rest: what was committed is completed,
// what was not is thrown away. The caller holds the lock.
func (s *System) finishOrDiscard() error {
	d := s.disk
	j, err := d.readJournal()
	if err != nil {
		return err
	}
	if j != nil {
		if err := s.complete(j); err != nil {
			return fmt.Errorf("finish the interrupted transaction: %w; remove the cause and run any pkgtool command again", err)
		}
		s.recovered = "finished an interrupted transaction"
		return nil
	}
	st, err := d.lstat(stagingDir)
	if err != nil {
		return err
	}
	open, err := s.store.Interrupted()
	if err != nil || st == nil && !open {
		return err
	}
	if err := s.discard(); err != nil {
		return fmt.Errorf("discard the interrupted transaction: %w", err)
	}
	s.recovered = "discarded an interrupted transaction; nothing had been changed"
	return nil
}

// discard removes everything that no committed generation refers to. The
// staging folder, whose presence calls for this, goes last. A spare tree that
// was being changed has lost its identity already and is made anew when it is
// needed.
func (s *System) discard() error {
	d := s.disk
	current, err := d.currentNumber()
	if err != nil {
		return err
	}
	numbers, err := d.generationNumbers()
	if err != nil {
		return err
	}
	var kept []*Generation
	staged, err := d.generationLink(nextPath)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if number > current && number != staged {
			if err := d.removeAll(generationDir(number)); err != nil {
				return err
			}
			continue
		}
		g, err := d.readGeneration(number)
		if err != nil && number != current {
			continue // damaged, or being pruned: nobody can return to it
		}
		if err != nil {
			return err
		}
		kept = append(kept, g)
	}
	if err := d.unlink(journalPath + ".tmp"); err != nil {
		return err
	}
	if _, _, err := s.removeUnused(context.Background(), kept); err != nil {
		// Who needs what cannot be told. Then only incomplete objects go.
		if _, _, err := s.store.Prune(context.Background(), func(store.Key) bool { return true }); err != nil {
			return err
		}
	}
	if err := s.store.Seal(); err != nil {
		return err
	}
	return d.removeAll(stagingDir)
}

// generationNumbers lists the generations on disk, oldest first.
func (d *disk) generationNumbers() ([]int, error) {
	names, err := d.list(generationsDir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil && n > 0 && !strings.HasPrefix(name, "+") {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
