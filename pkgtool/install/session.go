package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/system"
	"ashlar/signing"
)

// Options say on which system to work, and how.
type Options struct {
	Root    string           // default "/"
	Command []string         // what was typed, for the history and for who is refused meanwhile
	Trust   *signing.Keyring // who else may sign package files given by path or URL; nil is nobody
	Offline bool             // use what the last refresh found and what the cache has; ask no mirror
	Stale   bool             // go by what the last refresh found also when that has expired
	Config  string           // folder of the repositories' definitions; "" is the system's own
	Only    string           // name of the one repository to use; "" is all that are enabled
	Kernel  string           // release of the running kernel, whose package stays; "" is that of this machine
	Warn    func(error)      // told what went wrong and could be helped; may be nil
}

// Session works on one system. Close it after use.
type Session struct {
	opts    Options
	system  *system.System
	client  *client.Client
	configs []client.Config
	phases  []Phase
}

// Phase is how long one part of the work took.
type Phase struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took_ns"`
}

// Open opens a system and its repositories. It reads no repository yet.
func Open(opts Options) (*Session, error) {
	if opts.Root == "" {
		opts.Root = "/"
	}
	if opts.Warn == nil {
		opts.Warn = func(error) {}
	}
	s := &Session{opts: opts}
	defer s.phase("open")()
	var err error
	if s.system, err = system.Open(opts.Root); err != nil {
		return nil, err
	}
	if err := s.openClient(); err != nil {
		s.system.Close()
		return nil, err
	}
	if text := s.system.Recovered(); text != "" {
		opts.Warn(errors.New(text))
	}
	return s, nil
}

func (s *Session) openClient() (err error) {
	dirs := client.DirsOf(s.opts.Root)
	if s.opts.Config != "" {
		dirs.Config = s.opts.Config
	}
	if s.configs, err = client.LoadConfigs(dirs.Config); err != nil {
		return err
	}
	if s.opts.Only != "" {
		s.configs = slices.DeleteFunc(s.configs, func(c client.Config) bool { return c.Name != s.opts.Only })
	}
	s.client, err = client.Open(s.configs, dirs, client.Options{Offline: s.opts.Offline, AllowStale: s.opts.Stale, Warn: s.opts.Warn})
	return err
}

// priorities are those of the enabled repositories, by name.
func (s *Session) priorities() map[string]int {
	priorities := map[string]int{}
	for i := range s.configs {
		if c := &s.configs[i]; c.On() {
			priorities[c.Name] = c.Priority
		}
	}
	return priorities
}

// phase begins a part of the work; the function it returns ends it.
func (s *Session) phase(name string) func() {
	started := time.Now()
	return func() { s.phases = append(s.phases, Phase{Name: name, Took: time.Since(started)}) }
}

// Phases tells how long each part of the work took, in their order.
func (s *Session) Phases() []Phase { return s.phases }

// Close closes the system.
func (s *Session) Close() error { return s.system.Close() }

// System is the system that the session works on.
func (s *Session) System() *system.System { return s.system }

// Client knows what the repositories offer, once something was loaded.
func (s *Session) Client() *client.Client { return s.client }

// Refresh asks the repositories what they offer now.
func (s *Session) Refresh(ctx context.Context) ([]client.Status, error) {
	return s.client.Refresh(ctx)
}

// Load makes known what the last refresh found.
func (s *Session) Load(ctx context.Context) error {
	_, err := s.client.Load(ctx)
	return err
}

// offers makes the repositories' packages known. Removing works without any:
// then what cannot be read is only warned of.
func (s *Session) offers(ctx context.Context, needed bool) error {
	var err error
	if s.opts.Offline || !needed {
		defer s.phase("load")()
		_, err = s.client.Load(ctx)
	} else {
		defer s.phase("refresh")()
		_, err = s.client.Refresh(ctx)
	}
	if err != nil && !needed {
		s.opts.Warn(fmt.Errorf("go on without repositories: %w", err))
		return nil
	}
	return err
}
