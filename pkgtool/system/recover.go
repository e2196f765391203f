package system

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
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
		if err := d.complete(j); err != nil {
			return fmt.Errorf("finish the interrupted transaction: %w; remove the cause and run any pkgtool command again", err)
		}
		s.recovered = "finished an interrupted transaction"
		return nil
	}
	st, err := d.lstat(stagingDir)
	if err != nil || st == nil {
		return err
	}
	if err := d.discard(); err != nil {
		return fmt.Errorf("discard the interrupted transaction: %w", err)
	}
	s.recovered = "discarded an interrupted transaction; nothing had been changed"
	return nil
}

// discard removes everything that no committed generation refers to. The
// staging folder, whose presence calls for this, goes last.
func (d *disk) discard() error {
	current, err := d.currentNumber()
	if err != nil {
		return err
	}
	numbers, err := d.generationNumbers()
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, number := range numbers {
		if number > current {
			if err := d.removeAll(fmt.Sprintf("%s/%d", generationsDir, number)); err != nil {
				return err
			}
			continue
		}
		g, err := d.readGeneration(number)
		if err != nil {
			return err
		}
		for _, r := range g.Packages {
			used[manifestPath(r.Manifest)] = true
		}
	}
	names, err := d.list(manifestsDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if path := manifestsDir + "/" + name; !used[path] {
			if err := d.unlink(path); err != nil {
				return err
			}
		}
	}
	if err := d.unlink(journalPath + ".tmp"); err != nil {
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
