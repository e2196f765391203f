package install

import (
	"context"
	"errors"
	"fmt"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/system"
	"ashlar/signing"
)

// Options say on which system to work, and how.
type Options struct {
	Root    string           // default "/"
	Command []string         // what was typed, for the history and for who is refused meanwhile
	Trust   *signing.Keyring // who else may sign package files given by path; nil is nobody
	Offline bool             // use what the last refresh found, do not ask mirrors
	Warn    func(error)      // told what went wrong and could be helped; may be nil
}

// Session works on one system. Close it after use.
type Session struct {
	opts   Options
	system *system.System
	client *client.Client
}

// Open opens a system and its repositories. It reads no repository yet.
func Open(opts Options) (*Session, error) {
	if opts.Root == "" {
		opts.Root = "/"
	}
	if opts.Warn == nil {
		opts.Warn = func(error) {}
	}
	sys, err := system.Open(opts.Root)
	if err != nil {
		return nil, err
	}
	s := &Session{opts: opts, system: sys}
	if err := s.openClient(); err != nil {
		sys.Close()
		return nil, err
	}
	if text := sys.Recovered(); text != "" {
		opts.Warn(errors.New(text))
	}
	return s, nil
}

func (s *Session) openClient() error {
	dirs := client.DirsOf(s.opts.Root)
	configs, err := client.LoadConfigs(dirs.Config)
	if err != nil {
		return err
	}
	s.client, err = client.Open(configs, dirs, client.Options{Warn: s.opts.Warn})
	return err
}

// Close closes the system.
func (s *Session) Close() error { return s.system.Close() }

// System is the system that the session works on.
func (s *Session) System() *system.System { return s.system }

// Refresh asks the repositories what they offer now.
func (s *Session) Refresh(ctx context.Context) ([]client.Status, error) {
	return s.client.Refresh(ctx)
}

// Available makes known what the last refresh found and returns it.
func (s *Session) Available(ctx context.Context) ([]client.Entry, error) {
	_, err := s.client.Load(ctx)
	return s.client.Packages(), err
}

// offers makes the repositories' packages known. Removing works without any:
// then what cannot be read is only warned of.
func (s *Session) offers(ctx context.Context, needed bool) error {
	var err error
	if s.opts.Offline || !needed {
		_, err = s.client.Load(ctx)
	} else {
		_, err = s.client.Refresh(ctx)
	}
	if err != nil && !needed {
		s.opts.Warn(fmt.Errorf("go on without repositories: %w", err))
		return nil
	}
	return err
}
