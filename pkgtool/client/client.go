package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/tuf"
	"ashlar/signing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"
)

// Dirs is where a system keeps what concerns repositories.
type Dirs struct {
	Config string // definitions: *.yaml
	Trust  string // pinned roots: NAME/root.json
	State  string // what was seen last: NAME/trusted.json
	Cache  string // indexes and packages; may be emptied at any time
}

// DirsOf returns the folders of the system under root.
func DirsOf(root string) Dirs {
	return Dirs{
		Config: filepath.Join(root, "etc/pkgtool/repositories.d"),
		Trust:  filepath.Join(root, "etc/pkgtool/trust"),
		State:  filepath.Join(root, "var/lib/pkgtool/repositories"),
		Cache:  filepath.Join(root, "var/cache/pkgtool"),
	}
}

// Options adjusts a client. The zero value is right for the running machine.
type Options struct {
	Arch   string           // default x86_64
	Now    func() time.Time // the clock; nil means time.Now
	Limits Limits
	// Warn is told what a mirror did wrong although another one did it right.
	// It may be called from several goroutines.
	Warn func(error)
}

// Client offers the packages of a system's repositories. It is safe for
// concurrent use after Load or Refresh.
type Client struct {
	dirs         Dirs
	opts         Options
	http         *http.Client
	repositories []*repository
}

// repository is one of them.
type repository struct {
	client  *Client
	config  Config
	mirrors []mirror

	mu      sync.Mutex
	warned  map[string]bool
	status  Status
	keyring *signing.Keyring
	entries []index.Entry
	floor   time.Time // it cannot be earlier than this
}

// Status is what is known of a repository.
type Status struct {
	Name      string    `json:"name"`
	Channel   string    `json:"channel"`
	Mirror    string    `json:"mirror,omitempty"` // that answered; empty after Load
	Version   int64     `json:"version"`          // of its timestamp metadata
	Published time.Time `json:"published"`        // zero if the publisher does not say
	Expires   time.Time `json:"expires"`
	Packages  int       `json:"packages"`
	Changed   bool      `json:"changed"` // by this refresh
}

// Entry is a package on offer.
type Entry struct {
	index.Entry
	Repo     string `json:"repo"`
	Priority int    `json:"priority"` // higher wins
}

// Open prepares a client for the enabled repositories among configs. It reads
// nothing yet.
func Open(configs []Config, dirs Dirs, opts Options) (*Client, error) {
	if opts.Arch == "" {
		opts.Arch = "x86_64"
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Warn == nil {
		opts.Warn = func(error) {}
	}
	opts.Limits = opts.Limits.orDefault()
	c := &Client{dirs: dirs, opts: opts, http: newHTTPClient(opts.Limits)}
	for _, config := range configs {
		if err := config.validate(); err != nil {
			return nil, fault.Mark(fmt.Errorf("repository %s: %w", config.Name, err), fault.Usage, "")
		}
		if !config.On() {
			continue
		}
		r := &repository{client: c, config: config, warned: map[string]bool{}}
		for _, text := range config.URLs {
			u, err := parseURL(text)
			if err != nil {
				return nil, err
			}
			if u.Scheme == "file" {
				r.mirrors = append(r.mirrors, folder{filepath.Clean(u.Path)})
			} else {
				r.mirrors = append(r.mirrors, server{u, c.http})
			}
		}
		c.repositories = append(c.repositories, r)
	}
	return c, nil
}

// Load makes the packages known that the last refresh found, without asking a
// mirror. What has expired since is refused.
func (c *Client) Load(ctx context.Context) ([]Status, error) {
	return c.each(ctx, func(ctx context.Context, r *repository) error { return r.load(ctx) })
}

// Refresh asks mirrors for the current state of every repository. One that
// fails does not keep the others from succeeding: their packages are on offer,
// and the error joins what went wrong.
func (c *Client) Refresh(ctx context.Context) ([]Status, error) {
	return c.each(ctx, func(ctx context.Context, r *repository) error { return r.refresh(ctx) })
}

func (c *Client) each(ctx context.Context, do func(context.Context, *repository) error) ([]Status, error) {
	failures := make([]error, len(c.repositories))
	var group errgroup.Group
	group.SetLimit(4)
	for i, r := range c.repositories {
		group.Go(func() error {
			failures[i] = do(ctx, r)
			return nil
		})
	}
	group.Wait()
	var all []Status
	for i, r := range c.repositories {
		if failures[i] == nil {
			all = append(all, r.status)
		}
	}
	return all, joined(failures)
}

// joined joins errors and keeps the gravest class outermost.
func joined(failures []error) error {
	err := errors.Join(failures...)
	if err == nil {
		return nil
	}
	for _, f := range failures {
		if f != nil && fault.ClassOf(f) == fault.Security {
			return fault.Mark(err, fault.Security, "")
		}
	}
	return err
}

// Packages lists what is on offer, by repository and then in index order.
func (c *Client) Packages() []Entry {
	var all []Entry
	for _, r := range c.repositories {
		r.mu.Lock()
		for _, e := range r.entries {
			all = append(all, Entry{e, r.config.Name, r.config.Priority})
		}
		r.mu.Unlock()
	}
	return all
}

func (c *Client) repository(name string) (*repository, error) {
	for _, r := range c.repositories {
		if r.config.Name == name {
			return r, nil
		}
	}
	return nil, fault.Errorf(fault.Usage, "no repository %q is enabled", name)
}

// clock is the time, but never before the metadata in force was signed.
func (r *repository) clock() time.Time {
	now := r.client.opts.Now().UTC()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.floor) {
		return r.floor
	}
	return now
}

// goodFirst lists the mirrors, those that failed before at the end.
func (r *repository) goodFirst() []mirror {
	r.mu.Lock()
	defer r.mu.Unlock()
	var good, bad []mirror
	for _, m := range r.mirrors {
		if r.warned[m.String()] {
			bad = append(bad, m)
		} else {
			good = append(good, m)
		}
	}
	return append(good, bad...)
}

// warn reports a mirror once.
func (r *repository) warn(failures []*MirrorError) {
	for _, f := range failures {
		r.mu.Lock()
		again := r.warned[f.Mirror]
		r.warned[f.Mirror] = true
		r.mu.Unlock()
		if !again {
			r.client.opts.Warn(fault.Mark(f, f.Kind.Class(), f.Kind.Hint()))
		}
	}
}

func (r *repository) newWalk(m mirror, from stored) *walk {
	return &walk{limits: r.client.opts.Limits, mirror: m, now: r.client.opts.Now().UTC(), got: from}
}

func (r *repository) load(ctx context.Context) error {
	from, err := r.readStored()
	if err != nil {
		return err
	}
	w := r.newWalk(nil, from)
	if err := w.run(ctx); err != nil {
		kind := tuf.KindOf(err)
		return fault.Mark(fmt.Errorf("repository %s: %s: %w", r.config.Name, w.file, err), kind.Class(), "run: pkgtool refresh")
	}
	if err := r.take(ctx, w, nil); err != nil {
		return fault.Mark(fmt.Errorf("repository %s: %w", r.config.Name, err), fault.ClassOf(err), "run: pkgtool refresh")
	}
	return nil
}

func (r *repository) refresh(ctx context.Context) error {
	unlock, err := r.lockState(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	from, err := r.readStored()
	if err != nil {
		return err
	}
	var failures []*MirrorError
	furthest := from
	for _, m := range r.mirrors {
		// Each mirror is judged by what was known before: one that is merely
		// behind another that turned out broken has not gone back in time.
		w := r.newWalk(m, from)
		err := r.refreshFrom(ctx, w)
		if err == nil {
			if w.oddity != nil {
				failures = append(failures, r.mirrorError(m, repo.TimestampPath, w.oddity))
			}
			r.warn(failures)
			return r.remember(w, m, from)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		failures = append(failures, r.mirrorError(m, w.file, err))
		if w.got.further(furthest) {
			furthest = w.got
		}
	}
	// What was verified on the way must not be forgotten (specification 5.3 ff.).
	if furthest.further(from) {
		if err := r.writeStored(furthest); err != nil {
			return err
		}
	}
	return allFailed(failures)
}

func (r *repository) refreshFrom(ctx context.Context, w *walk) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.client.opts.Limits.Metadata,
		fmt.Errorf("%w: metadata took longer than %s", errTooSlow, r.client.opts.Limits.Metadata))
	defer cancel()
	if err := w.run(ctx); err != nil {
		return causeOf(ctx, err)
	}
	if err := r.take(ctx, w, w.mirror); err != nil {
		return causeOf(ctx, err)
	}
	return nil
}

// remember stores what a successful walk verified.
func (r *repository) remember(w *walk, m mirror, before stored) error {
	r.status.Mirror = m.String()
	r.status.Changed = !bytes.Equal(before.Timestamp, w.got.Timestamp) || !bytes.Equal(before.Root, w.got.Root)
	if !r.status.Changed && bytes.Equal(before.Targets, w.got.Targets) && bytes.Equal(before.Snapshot, w.got.Snapshot) && before.Timestamp != nil {
		return nil
	}
	return r.writeStored(w.got)
}

// take reads keyring and indexes of a verified state, from the cache or from m.
func (r *repository) take(ctx context.Context, w *walk, m mirror) error {
	data, err := r.object(ctx, w, m, repo.KeyringTarget, maxKeyring)
	if err != nil {
		return err
	}
	keyring, err := signing.ReadKeyring(data)
	if err != nil {
		return tuf.Refuse(tuf.Lying, "the signed keyring is unusable: %w", err)
	}
	var entries []index.Entry
	known := false
	for _, arch := range []string{r.client.opts.Arch, "noarch"} {
		some, ok, err := r.readIndex(ctx, w, m, arch)
		if err != nil {
			return err
		}
		known = known || ok
		entries = append(entries, some...)
	}
	if !known {
		return fault.Mark(tuf.Refuse(tuf.Lying, "it has no packages in channel %s for %s", r.config.Channel, r.client.opts.Arch), fault.Usage,
			"check the channel in the repository's definition")
	}
	t := w.set.Timestamp.Signed
	status := Status{Name: r.config.Name, Channel: r.config.Channel, Version: t.Version, Expires: t.Expires, Packages: len(entries)}
	if text, ok := t.UnrecognizedFields[repo.PublishedField].(string); ok {
		status.Published, _ = time.Parse(time.RFC3339, text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keyring, r.entries, r.status, r.floor = keyring, entries, status, w.set.RefTime
	return nil
}

const (
	maxKeyring = 1 << 20
	maxIndex   = 256 << 20
)

func (r *repository) readIndex(ctx context.Context, w *walk, m mirror, arch string) ([]index.Entry, bool, error) {
	name := repo.IndexTarget(r.config.Channel, arch)
	if w.set.Targets[metadata.TARGETS].Signed.Targets[name] == nil {
		return nil, false, nil
	}
	data, err := r.object(ctx, w, m, name, maxIndex)
	if err != nil {
		return nil, false, err
	}
	header, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
	if err != nil {
		return nil, false, &tuf.Refusal{Kind: tuf.Lying, Err: err}
	}
	if header.Channel != r.config.Channel || header.Arch != arch {
		return nil, false, tuf.Refuse(tuf.Lying, "the index of %s.%s says that it is of %.40q.%.40q", r.config.Channel, arch, header.Channel, header.Arch)
	}
	return entries, true, nil
}

// object returns the content of a target: from the cache if it is there intact,
// else from m, or from another mirror if m does not have it.
func (r *repository) object(ctx context.Context, w *walk, m mirror, name string, max int64) ([]byte, error) {
	path, length, sum, err := w.target(name)
	w.file = path
	if err != nil {
		w.file = name
		return nil, tuf.Refuse(tuf.Lying, "the signed targets do not have %s", name)
	}
	if length > max {
		return nil, tuf.Refuse(tuf.Unbounded, "it is said to have %d bytes; at most %d are allowed", length, max)
	}
	cached := filepath.Join(r.client.dirs.Cache, "objects", sum)
	if data, err := readSmall(cached, length); err == nil && sumOf(data) == sum {
		return data, nil
	}
	if m == nil {
		return nil, fmt.Errorf("%s is not in the cache", path)
	}
	data, err := r.fetchObject(ctx, m, path, length, sum)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err != nil {
		return nil, err
	}
	return data, durable.WriteFile(cached, data, 0o644)
}

// fetchObject asks m for an object and, should that fail, the other mirrors:
// what an object is named by proves it, whoever has it.
func (r *repository) fetchObject(ctx context.Context, m mirror, path string, length int64, sum string) ([]byte, error) {
	one := func(m mirror) ([]byte, error) {
		data, err := r.client.opts.Limits.readFile(ctx, m, path, length, length)
		if err != nil {
			return nil, missing(err)
		}
		if got := sumOf(data); got != sum {
			return nil, tuf.Refuse(tuf.Tampered, "sha256 is %s instead of the %s that was signed", got, sum)
		}
		return data, nil
	}
	data, first := one(m)
	if first == nil {
		return data, nil
	}
	for _, other := range r.mirrors {
		if other == m || ctx.Err() != nil {
			continue
		}
		if data, err := one(other); err == nil {
			r.warn([]*MirrorError{r.mirrorError(m, path, first)})
			return data, nil
		}
	}
	return nil, first
}
