package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo/index"
	"ashlar/repo/transport"
	"ashlar/signing"

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
	Arch    string           // default x86_64
	Now     func() time.Time // the clock; nil means time.Now
	Limits  transport.Limits
	Offline bool // use the cache and repositories on this machine only
	// AllowStale goes by what the last refresh found also when that has expired
	// and no mirror has better. Warn is told.
	AllowStale bool
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
	limits  transport.Limits
	mirrors []transport.Source

	mu        sync.Mutex
	warned    map[string]bool
	rangeless map[string]bool // mirrors that do not answer with the range asked for
	status    Status
	keyring   *signing.Keyring
	offer     *offer
	floor     time.Time // it cannot be earlier than this
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
	opts.Limits = opts.Limits.OrDefault()
	c := &Client{dirs: dirs, opts: opts, http: transport.NewHTTPClient(opts.Limits)}
	for _, config := range configs {
		if err := config.validate(); err != nil {
			return nil, fault.Mark(fmt.Errorf("repository %s: %w", config.Name, err), fault.Usage, "")
		}
		if !config.On() {
			continue
		}
		r := &repository{client: c, config: config, warned: map[string]bool{}, rangeless: map[string]bool{}, limits: config.limits(opts.Limits)}
		http := transport.NewHTTPClient(r.limits)
		for _, text := range config.URLs {
			m, err := transport.Open(text, http)
			if err != nil {
				return nil, err
			}
			if _, local := m.(transport.Folder); local || !opts.Offline {
				r.mirrors = append(r.mirrors, m)
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
	for _, grave := range []fault.Class{fault.Security, fault.Stale} {
		for _, f := range failures {
			if f != nil && fault.ClassOf(f) == grave {
				return fault.Mark(err, grave, "")
			}
		}
	}
	return err
}

func (c *Client) repository(name string) (*repository, error) {
	for _, r := range c.repositories {
		if r.config.Name == name {
			return r, nil
		}
	}
	return nil, fault.Errorf(fault.Usage, "no repository %q is enabled", name)
}
