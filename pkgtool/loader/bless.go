package loader

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
)

// The ways in which the boot loader starts a generation.
const (
	ModeDefault  = "default"  // nobody was asked
	ModeChosen   = "chosen"   // a person chose it in the menu
	ModeFallback = "fallback" // the default one had no try left
)

// bootPath is what [Recover] tells those who come later. /run is emptied by the
// next start.
const bootPath = "/run/ashlar/boot.json"

// Boot is how the running system was started.
type Boot struct {
	Generation int    `json:"generation"`        // that runs
	Requested  int    `json:"requested"`         // that the boot loader asked for
	Mode       string `json:"mode"`              // default, chosen or fallback
	From       int    `json:"from,omitempty"`    // that was there before the initial RAM file system changed to Generation
	Done       string `json:"done,omitempty"`    // what else the initial RAM file system did
	Problem    string `json:"problem,omitempty"` // why it could not do what it was asked for
}

// ReadBoot tells how the running system was started; nil if nobody knows.
func ReadBoot() (*Boot, error) {
	text, err := os.ReadFile(bootPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := &Boot{}
	return b, json.Unmarshal(text, b)
}

// Write keeps it for those who come later, in /run.
func (b *Boot) Write() error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(bootPath), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(bootPath, append(text, '\n'), 0o644)
}

// Bless notes that the running generation has started well: it is the one to
// come back to from now on. What was installed since is still to be proved.
func (l *Loader) Bless(ctx context.Context) error {
	current := l.system.Generation().Number
	boot, err := ReadBoot()
	if err != nil {
		return err
	}
	if boot == nil {
		boot = &Boot{Generation: current, Mode: ModeDefault}
	}
	if _, err := l.system.GenerationAt(boot.Generation); err != nil {
		boot.Generation = current
	}
	if err := l.system.SetGood(boot.Generation); err != nil {
		return err
	}
	next := current
	if staged, err := l.system.Staged(); err != nil {
		return err
	} else if staged != 0 {
		next = staged
	}
	if err := l.ensure(ctx, current); err != nil {
		return err
	}
	return l.set(ctx, next, func(s *State) {
		switch {
		case boot.Mode == ModeFallback && s.Generation != boot.Generation:
			s.Failed = s.Generation
		case boot.Mode == ModeDefault && s.Good != boot.Generation:
			s.Failed = 0
		}
		if s.Generation != next {
			s.Tries = MaxTries
		}
		s.Generation, s.Good = next, boot.Generation
		if next == boot.Generation {
			s.Tries = -1
		}
	})
}

// Status is what the machine starts, and how.
type Status struct {
	State
	Entries []*Entry `json:"entries"`
	Boot    *Boot    `json:"boot,omitempty"`
	Staged  int      `json:"staged,omitempty"` // made the current one by the next start
}

// Status reads it from the first EFI system partition that is there.
func (l *Loader) Status() (*Status, error) {
	st := &Status{}
	err := l.first(func(dir string) (err error) {
		st.State = readState(dir)
		st.Entries, err = readEntries(dir)
		return err
	})
	if err != nil {
		return nil, err
	}
	if st.Staged, err = l.system.Staged(); err != nil {
		return nil, err
	}
	st.Boot, err = ReadBoot()
	return st, err
}

// Update makes the entry of the current generation anew, with the command line
// as it is now, and lets the machine start it; what was staged stays.
func (l *Loader) Update(ctx context.Context) error {
	current := l.system.Generation()
	if err := l.Prepare(ctx, current, filepath.Join(l.system.Root(), "usr")); err != nil {
		return err
	}
	if staged, err := l.system.Staged(); err != nil || staged != 0 {
		return err
	}
	return l.Switch(ctx, current)
}

// Unproved reports whether the running generation is one that counts its tries:
// it is the default, and was never blessed.
func (l *Loader) Unproved() (bool, error) {
	st, err := l.Status()
	if err != nil {
		return false, err
	}
	return st.Tries >= 0 && (st.Boot == nil || st.Good != st.Boot.Generation), nil
}
