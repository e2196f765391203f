package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/index"
	"ashlar/signing"

	"golang.org/x/sys/unix"
)

// Options says who publishes.
type Options struct {
	Keys string           // folder of private keys; the role keys are in repositories/NAME below it
	Now  func() time.Time // the clock; nil means time.Now

	// NoUnpack lets Add believe what its packager signed as to what the frames of a
	// package hold: the signature and the hash of every frame are verified, but
	// no data is decompressed.
	NoUnpack bool

	// Complete decides whether a channel may become what it is to be. before
	// and after are its packages, of all arches; Promote and Prune ask it. The error is
	// what the user reads. nil lets everything pass.
	Complete func(ctx context.Context, channel string, before, after []index.Entry) error
}

// Settings are what a repository is created with.
type Settings struct {
	// Name tells repositories, and their role keys, apart. It begins with a
	// letter or digit and holds those and . _ -
	Name string `json:"name"`
	// Development lets Add replace a package by another build of the same
	// version and release. Elsewhere that is refused: what a version means must
	// not change once it is published.
	Development bool `json:"development"`
	// Lifetimes is for how long signatures hold, in days. Zero means the default.
	Lifetimes Lifetimes `json:"lifetimes_days"`
	// Grace is for how many days a package that leaves a channel can still be
	// found by those who know it. Zero means DefaultGrace.
	Grace int `json:"grace_days,omitempty"`
	// Packagers are the keys whose signatures packages must bear.
	Packagers []*signing.PublicKey `json:"-"`
}

// Lifetimes holds a number of days for each role.
type Lifetimes struct {
	Root      int `json:"root"`
	Targets   int `json:"targets"`
	Snapshot  int `json:"snapshot"`
	Timestamp int `json:"timestamp"`
}

// DefaultLifetimes bounds how long a mirror can hide new packages (timestamp),
// and how long a publisher can be away before clients refuse (the same).
var DefaultLifetimes = Lifetimes{Root: 730, Targets: 365, Snapshot: 90, Timestamp: 14}

// config is .ashlar/repository.json.
type config struct {
	Format int `json:"format"`
	Settings
}

// Repository is a repository folder opened for publishing. Its methods lock
// the folder against other publishers while they run.
type Repository struct {
	dir    string
	config config
	keys   string
	now    func() time.Time

	noUnpack bool
	complete func(ctx context.Context, channel string, before, after []index.Entry) error
}

// DefaultGrace is the default of Settings.Grace, and of how long Prune keeps what
// a state needs that clients could see.
const DefaultGrace = 30

func (c *config) grace() time.Duration {
	if c.Grace > 0 {
		return lifetime(c.Grace)
	}
	return lifetime(DefaultGrace)
}

var repositoryName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// Init makes dir a repository, and role keys where there are none under this
// name. Doing it again with the same settings changes nothing. Nothing is
// visible to clients before the first Publish.
func Init(ctx context.Context, dir string, s Settings, o Options) (*Repository, error) {
	if !repositoryName.MatchString(s.Name) {
		return nil, fault.Mark(fmt.Errorf("invalid repository name %q", s.Name), fault.Usage,
			"use lower-case letters, digits and . _ -")
	}
	if existing, err := Open(dir, o); err == nil {
		return existing, existing.accept(ctx, s)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(s.Packagers) == 0 {
		return nil, fault.Errorf(fault.Usage, "a repository needs at least one packager key")
	}
	s.Lifetimes = s.Lifetimes.orDefault()
	for _, sub := range append([]string{privateDir}, served...) {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	r := &Repository{dir: dir, config: config{1, s}, keys: o.Keys, now: clock(o.Now), complete: o.Complete, noUnpack: o.NoUnpack}
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := r.writeKeyring(s.Packagers); err != nil {
		return nil, err
	}
	if err := r.firstRoots(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(r.config, "", "  ")
	if err != nil {
		return nil, err
	}
	// The configuration comes last: a folder that has one is complete.
	return r, durable.WriteFile(r.path(privateDir, "repository.json"), append(data, '\n'), 0o644)
}

// accept is Init on a repository that exists: the same settings are fine, and
// further packager keys are taken.
func (r *Repository) accept(ctx context.Context, s Settings) error {
	if r.config.Name != s.Name || r.config.Development != s.Development || s.Lifetimes.or(r.config.Lifetimes) != r.config.Lifetimes ||
		s.Grace > 0 && s.Grace != r.config.Grace {
		return fault.Mark(fmt.Errorf("%s is a repository with other settings (name %s)", r.dir, r.config.Name), fault.Usage,
			"choose another folder, or leave the settings out")
	}
	return r.Allow(ctx, s.Packagers...)
}

// Open opens a repository for publishing. Its error is fs.ErrNotExist when dir
// is no repository.
func Open(dir string, o Options) (*Repository, error) {
	path := filepath.Join(dir, privateDir, "repository.json")
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Mark(fmt.Errorf("%s is not a repository: %w", dir, err), fault.Usage,
				"make one with: pkgtool repo init "+dir)
		}
		return nil, err
	}
	r := &Repository{dir: dir, keys: o.Keys, now: clock(o.Now), complete: o.Complete, noUnpack: o.NoUnpack}
	if err := json.Unmarshal(data, &r.config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.config.Format != 1 || !repositoryName.MatchString(r.config.Name) {
		return nil, fmt.Errorf("%s: unknown format %d or invalid name", path, r.config.Format)
	}
	r.config.Lifetimes = r.config.Lifetimes.orDefault()
	return r, nil
}

// Name is the repository's name.
func (r *Repository) Name() string { return r.config.Name }

// Allow adds packager keys, effective for clients with the next Publish.
func (r *Repository) Allow(ctx context.Context, keys ...*signing.PublicKey) error {
	if len(keys) == 0 {
		return nil
	}
	unlock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	kr, err := r.keyring()
	if err != nil {
		return err
	}
	all := kr.Keys()
	for _, k := range keys {
		if kr.Key(k.Fingerprint()) == nil {
			all = append(all, k)
		}
	}
	if len(all) == len(kr.Keys()) {
		return nil
	}
	return r.writeKeyring(all)
}

// keyring returns the packager keys that the next state will allow.
func (r *Repository) keyring() (*signing.Keyring, error) {
	data, err := os.ReadFile(r.path(privateDir, "packagers.pgp"))
	if err != nil {
		return nil, err
	}
	return signing.ReadKeyring(data)
}

func (r *Repository) writeKeyring(keys []*signing.PublicKey) error {
	kr, err := signing.NewKeyring(keys...)
	if err != nil {
		return err
	}
	return durable.WriteFile(r.path(privateDir, "packagers.pgp"), kr.Armored(), 0o644)
}

func (r *Repository) path(parts ...string) string {
	return filepath.Join(append([]string{r.dir}, parts...)...)
}

// privateFolder makes a folder of the publisher's own.
func (r *Repository) privateFolder(name string) error {
	switch err := os.Mkdir(r.path(privateDir, name), 0o755); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return durable.SyncDir(r.path(privateDir))
}

// lockWait is how long a publisher waits for another one.
const lockWait = 30 * time.Second

func (r *Repository) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(r.path(privateDir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if err := durable.Lock(ctx, f); err != nil {
		f.Close()
		if ctx.Err() == nil {
			return nil, err
		}
		return nil, fault.Mark(fmt.Errorf("another publisher is at work in %s: %w", r.dir, err), fault.Failed,
			"wait until it has finished")
	}
	r.sweep()
	return func() { f.Close() }, nil
}

// sweep removes the temporary files of publishers that were killed. Under the
// lock they are nobody's.
func (r *Repository) sweep() {
	for _, pattern := range []string{privateDir + "/*.tmp", privateDir + "/.*.tmp", privateDir + "/stages/.*.tmp", privateDir + "/locks/.*.tmp",
		privateDir + "/advisories/.*.tmp", privateDir + "/" + signingDir + "/.*.tmp",
		advisoriesDir + "/.*.tmp", metadataDir + "/.*.tmp", indexDir + "/.*.tmp", keyringDir + "/.*.tmp"} {
		left, _ := filepath.Glob(r.path(pattern)) // the pattern is good
		for _, file := range left {
			os.Remove(file)
		}
	}
}

func (l Lifetimes) orDefault() Lifetimes { return l.or(DefaultLifetimes) }

// or fills what is not given from other.
func (l Lifetimes) or(other Lifetimes) Lifetimes {
	pick := func(days, def int) int {
		if days <= 0 {
			return def
		}
		return days
	}
	return Lifetimes{pick(l.Root, other.Root), pick(l.Targets, other.Targets), pick(l.Snapshot, other.Snapshot), pick(l.Timestamp, other.Timestamp)}
}

func clock(now func() time.Time) func() time.Time {
	if now == nil {
		now = time.Now
	}
	// TUF metadata counts in whole seconds of UTC.
	return func() time.Time { return now().UTC().Truncate(time.Second) }
}
