package buildkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/fault"

	"github.com/opencontainers/go-digest"
)

// Options describe a farm.
type Options struct {
	Daemons []Daemon
	TLS     TLS
	Cache   string // folder for packed layers; they can be made again

	// Report is told what a person may want to know, as a line; may be nil.
	Report func(text string)
}

// Farm is a [build.Executor] on the machines of a farm.
type Farm struct {
	options Options
	layers  *layers
	program func() (digest.Digest, error)

	mu      sync.Mutex
	daemons []*daemon
	changed chan struct{} // closed and made anew when a slot may be free
}

// New returns a farm; Close it. No connection is made before the first work.
func New(o Options) (*Farm, error) {
	if len(o.Daemons) == 0 {
		return nil, errors.New("a farm needs a daemon: give --daemon tcp://HOST:PORT")
	}
	if err := o.TLS.check(o.Daemons); err != nil {
		return nil, err
	}
	l, err := openLayers(o.Cache)
	if err != nil {
		return nil, fmt.Errorf("open the cache of the farm: %w", err)
	}
	f := &Farm{options: o, layers: l, changed: make(chan struct{})}
	f.program = sync.OnceValues(func() (digest.Digest, error) {
		d, err := l.blobs.putFile("/proc/self/exe")
		return d.Digest, err
	})
	for _, d := range o.Daemons {
		if slices.ContainsFunc(f.daemons, func(other *daemon) bool { return other.Address == d.Address }) {
			return nil, fmt.Errorf("daemon %s is named twice; slots=N lets it run several works", d.Address)
		}
		d.Slots = max(d.Slots, 1)
		f.daemons = append(f.daemons, &daemon{Daemon: d, tls: o.TLS})
	}
	return f, nil
}

// Close ends all connections.
func (f *Farm) Close() error {
	for _, d := range f.daemons {
		d.close()
	}
	return nil
}

// Slots is how many works can run at a time. Run waits for a free slot.
func (f *Farm) Slots() int {
	n := 0
	for _, d := range f.daemons {
		n += d.Slots
	}
	return n
}

// Run runs a work on one of the daemons; when that is lost, from the beginning on
// another.
func (f *Farm) Run(ctx context.Context, w *build.Work) error {
	dir, err := os.MkdirTemp(w.Scratch, "farm-")
	if err != nil {
		return err
	}
	w.Undone = true
	runErr := f.run(ctx, w, dir)
	if err := sandbox.RemoveTree(dir); err != nil && runErr == nil {
		return fmt.Errorf("remove what was sent to the farm: %w", err)
	}
	return runErr
}

// triesEach is how often each daemon may lose a work before it fails.
const triesEach = 2

func (f *Farm) run(ctx context.Context, w *build.Work, dir string) error {
	p, err := f.pack(w, dir)
	if err != nil {
		return err
	}
	var lost []string
	tries := map[*daemon]int{}
	for {
		d, err := f.acquire(ctx, w.Recipe, tries)
		if err != nil {
			return err
		}
		if d == nil {
			return fault.Mark(fmt.Errorf("no daemon of the farm could run it:\n  %s", strings.Join(lost, "\n  ")), fault.Network,
				"see the daemons' logs; without --executor the build runs on this host")
		}
		tries[d]++
		err = f.attempt(ctx, d, p, dir, tries[d])
		var gone *lostError
		switch {
		case err == nil || !errors.As(err, &gone):
			f.release(d, nil)
			return err
		case ctx.Err() != nil:
			f.release(d, nil)
			return context.Cause(ctx)
		}
		f.release(d, gone)
		lost = append(lost, d.Address+": "+gone.Error())
		f.tell(w, fmt.Sprintf("farm: daemon %s lost %s: %v", d.Address, w.Recipe, gone))
	}
}

// tell says something to the person and to the log.
func (f *Farm) tell(w *build.Work, text string) {
	if f.options.Report != nil {
		f.options.Report(text)
	}
	_, _ = fmt.Fprintln(w.Log, text) // the next write of the log fails too, and says so
}

// attempt runs a parcel on a daemon once.
func (f *Farm) attempt(ctx context.Context, d *daemon, p *parcel, dir string, n int) error {
	c, err := d.connect(ctx)
	if err != nil {
		return &lostError{fmt.Errorf("connect: %w", err)}
	}
	into, err := os.MkdirTemp(dir, "result-")
	if err != nil {
		return err
	}
	result, err := p.on(d.Daemon).solve(ctx, c, into)
	if err != nil {
		return errors.Join(err, sandbox.RemoveTree(into))
	}
	if err := p.take(into); err != nil {
		return fmt.Errorf("take what the farm built: %w", err)
	}
	p.work.Undone = !result.Done && !result.Failed()
	return result.Err()
}

// on is a parcel for a daemon: with as many jobs as its machine has cores for.
func (p *parcel) on(d Daemon) *parcel {
	if d.Jobs == 0 {
		return p
	}
	own := *p
	own.order.Commands = slices.Clone(p.order.Commands)
	for i, c := range own.order.Commands {
		own.order.Commands[i].Env = slices.Clone(c.Env)
		for j, entry := range c.Env {
			if strings.HasPrefix(entry, "JOBS=") && entry != "JOBS=1" {
				own.order.Commands[i].Env[j] = fmt.Sprint("JOBS=", d.Jobs)
			}
		}
	}
	return &own
}
