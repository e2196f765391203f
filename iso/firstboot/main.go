package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// stateFile holds the id of the instance that was set up last.
const stateFile = "var/lib/ashlar/firstboot/instance"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "firstboot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	growing := grow()
	source, err := findSource("/sys/class/block", "/dev")
	if err != nil || source == nil {
		return errors.Join(growing, err)
	}
	files, err := source.read()
	if err != nil {
		return errors.Join(growing, err)
	}
	root, err := os.OpenRoot("/")
	if err != nil {
		return err
	}
	defer root.Close()
	s := &setup{root: root, run: command(ctx)}
	return errors.Join(growing, s.apply(files))
}

// command returns a function that runs programs of the system.
func command(ctx context.Context) func(name string, args ...string) error {
	return func(name string, args ...string) error {
		c := exec.CommandContext(ctx, name, args...)
		c.Stdout, c.Stderr = os.Stderr, os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
}

// setup applies an instance's data to a system.
type setup struct {
	root *os.Root
	run  func(name string, args ...string) error
}

// apply does everything that can be done, and reports all that failed.
func (s *setup) apply(f *instance) error {
	if id, err := s.root.ReadFile(stateFile); err == nil && strings.TrimSpace(string(id)) == f.meta.ID {
		return nil
	}
	config, err := f.config()
	failed := []error{err}
	if config == nil {
		config = &cloudConfig{}
	}
	name := config.Hostname
	if name == "" {
		name = f.meta.Hostname
	}
	failed = append(failed, s.setHostname(name), s.setTimezone(config.Timezone), s.addUsers(config, f.meta.keys()),
		s.writeFiles(config.Files), s.setNetwork(f.network))
	// Remembered before commands run: one that starts the machine anew must not
	// be run again after that.
	failed = append(failed, s.remember(f.meta.ID))
	for _, c := range config.Commands {
		failed = append(failed, s.run(c[0], c[1:]...))
	}
	if f.script != nil {
		failed = append(failed, s.runScript(f.script))
	}
	return errors.Join(failed...)
}

func (s *setup) remember(id string) error { return s.write(stateFile, []byte(id+"\n"), 0o644) }

// write writes a file and the folders on the way to it.
func (s *setup) write(path string, content []byte, perm os.FileMode) error {
	if err := s.root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := s.root.WriteFile(path, content, perm); err != nil {
		return err
	}
	return s.root.Chmod(path, perm)
}

func (s *setup) setHostname(name string) error {
	if name == "" {
		return nil
	}
	name, _, _ = strings.Cut(name, ".")
	if strings.ContainsAny(name, "/\n ") || len(name) > 63 {
		return fmt.Errorf("host name %q is none", name)
	}
	if err := s.write("etc/hostname", []byte(name+"\n"), 0o644); err != nil {
		return err
	}
	if s.root.Name() != "/" {
		return nil
	}
	return unix.Sethostname([]byte(name))
}

func (s *setup) setTimezone(zone string) error {
	if zone == "" {
		return nil
	}
	target := "usr/share/zoneinfo/" + zone
	if _, err := s.root.Stat(target); err != nil || !filepath.IsLocal(zone) {
		return fmt.Errorf("there is no time zone %q here", zone)
	}
	if err := s.root.Remove("etc/localtime"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return s.root.Symlink("../"+target, "etc/localtime")
}

func (s *setup) runScript(text []byte) error {
	const path = "run/ashlar-firstboot-script"
	if err := s.write(path, text, 0o700); err != nil {
		return err
	}
	return errors.Join(s.run("/"+path), s.root.Remove(path))
}
