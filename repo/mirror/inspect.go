package mirror

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"

	"golang.org/x/sync/errgroup"
)

// DefaultMaxAge is for how long a mirror may go without a complete run, or stay
// behind its origin.
const DefaultMaxAge = 36 * time.Hour

// Kinds of problems that are none of trust.
const (
	Missing          = repo.Missing // an object of the state is not there, or has another length
	Old     tuf.Kind = "old"        // no complete run for too long
	Behind  tuf.Kind = "behind"     // the origin has shown a newer state for too long
)

// Report is what Inspect found.
type Report struct {
	Healthy   bool           `json:"healthy"` // there are no problems
	Mirror    string         `json:"mirror"`
	Version   int64          `json:"version"`          // of the timestamp metadata; 0 if that is no good
	Published time.Time      `json:"published"`        // what it shows
	Expires   time.Time      `json:"expires"`          // when clients refuse it
	Synced    time.Time      `json:"synced"`           // end of the last complete run; zero if that is not known
	Age       int64          `json:"age_seconds"`      // since then; since it was published where it is not known
	Objects   int            `json:"objects"`          // of the state
	Bytes     int64          `json:"bytes"`            // of the state
	Origin    *Origin        `json:"origin,omitempty"` // where one was given
	Problems  []repo.Problem `json:"problems"`         // the first of them
	More      int            `json:"more_problems,omitempty"`
}

// Origin is what the origin of a mirror shows.
type Origin struct {
	Source    string    `json:"source"`
	Version   int64     `json:"version"`
	Published time.Time `json:"published"`
	Behind    int64     `json:"behind_seconds"` // by how much the mirror's state is older
}

const namedProblems = 1000

// Inspect judges a mirror: signatures and expiry as a client would, whether all
// objects of the state are there with their length (with Verify: their hash),
// how old it is, and how far behind origins, of which there may be none. Where s
// does not show what the mirror remembers, trust and Settings come from o. The
// error is for what kept it from judging.
func Inspect(ctx context.Context, s transport.Source, origins []transport.Source, maxAge time.Duration, o Options) (*Report, error) {
	o.Limits = o.Limits.OrDefault()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jobs <= 0 {
		o.Jobs = 8
	}
	i := &inspection{Options: o, source: s, maxAge: maxAge, report: &Report{Mirror: s.String(), Problems: []repo.Problem{}}}
	if err := i.remember(ctx); err != nil {
		return nil, err
	}
	w := i.walk(s)
	if err := w.Run(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		i.problem(w.File, err)
		return i.report, nil
	}
	r := i.report
	r.Version, r.Published, r.Expires = w.Timestamp().Version, w.Published(), expiry(w)
	i.age()
	if err := i.objects(ctx, w); err != nil {
		return nil, err
	}
	if len(origins) > 0 {
		if err := i.compare(ctx, origins); err != nil {
			return nil, err
		}
	}
	r.Healthy = len(r.Problems) == 0
	return r, nil
}

// expiry is when the first of the metadata expires.
func expiry(w *trust.Walk) time.Time {
	first := w.Timestamp().Expires
	for _, t := range []time.Time{w.Root().Expires, w.Snapshot().Expires, w.Targets().Expires} {
		if t.Before(first) {
			first = t
		}
	}
	return first.UTC()
}

type inspection struct {
	Options
	source transport.Source
	maxAge time.Duration
	record *record
	report *Report
	mu     sync.Mutex
}

// remember finds out whom to trust and what the mirror is meant to have.
func (i *inspection) remember(ctx context.Context) error {
	known := &record{}
	switch i.source.(type) {
	case transport.Folder, store.Store:
		recorded, err := readRecord(ctx, i.Limits, i.source)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			known = recorded
		}
	}
	if _, here := i.source.(transport.Folder); !here {
		known.Pinned = nil // another place could say that it trusts whom it likes
	}
	i.record = known
	i.Settings = i.Settings.merged(known.Settings)
	i.report.Synced = known.Synced
	return known.pin(ctx, i.source, []*counted{{Source: i.source}}, i.Options)
}

func (i *inspection) walk(s transport.Source) *trust.Walk {
	pinned := i.record.Pinned
	return &trust.Walk{Limits: i.Limits, Source: s, Now: i.Now().UTC(), Got: trust.State{Format: 1, Pin: sumOf(pinned), Root: pinned}}
}

func (i *inspection) problem(path string, err error) {
	kind := tuf.KindOf(err)
	var refusal *tuf.Refusal
	if errors.As(err, &refusal) {
		err = refusal.Err
	}
	switch {
	case kind == "" && errors.Is(err, fs.ErrNotExist):
		kind = Missing
	case kind == "":
		kind = tuf.Unreachable
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.report.Problems) == namedProblems {
		i.report.More++
		return
	}
	i.report.Problems = append(i.report.Problems, repo.Problem{Path: path, Kind: kind, Message: tuf.Printable(err.Error())})
}

func (i *inspection) age() {
	since, what := i.report.Synced, "the last complete run of the mirror ended"
	if since.IsZero() {
		since, what = i.report.Published, "the state was published"
	}
	age := i.Now().Sub(since)
	i.report.Age = int64(age.Seconds())
	if i.maxAge > 0 && age > i.maxAge {
		i.problem(repo.TimestampPath, tuf.Refuse(Old, "%s %s ago; at most %s are wanted", what, age.Round(time.Minute), i.maxAge))
	}
}

// objects looks for all that the state names.
func (i *inspection) objects(ctx context.Context, w *trust.Walk) error {
	st, err := stateOf(w, i.Settings)
	if err != nil {
		i.problem("targets", err)
		return nil
	}
	all := slices.Concat(st.indexes, st.others)
	p := newPlan(st, true)
	for _, t := range st.indexes {
		data, err := i.Limits.ReadFile(ctx, i.source, t.Path, t.Size, t.Size)
		if err == nil && sumOf(data) != t.SHA256 {
			err = t.WrongSum(sumOf(data))
		}
		if err == nil {
			err = p.addIndex(t.name, data)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			i.problem(t.Path, err)
		}
	}
	for _, o := range p.wants {
		all = append(all, target{o.Path, o})
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(i.Jobs)
	for _, t := range all {
		i.report.Objects++
		i.report.Bytes += t.Size
		group.Go(func() error {
			err := i.object(within, t.Object)
			if err != nil && within.Err() == nil {
				i.problem(t.Path, err)
			}
			return within.Err()
		})
	}
	group.Wait()
	slices.SortFunc(i.report.Problems, func(a, b repo.Problem) int { return cmp.Compare(a.Path, b.Path) })
	return ctx.Err()
}

// object looks at one object.
func (i *inspection) object(ctx context.Context, o transport.Object) error {
	if i.Verify {
		sum, err := hashOf(ctx, i.source, o)
		if err == nil && sum != o.SHA256 {
			err = o.WrongSum(sum)
		}
		return err
	}
	size, err := sizeOf(ctx, i.source, o)
	if err == nil && size != o.Size {
		err = tuf.Refuse(Missing, "has %d bytes instead of %d", size, o.Size)
	}
	return err
}

// sizeOf asks how long an object is. Where there is only a web server, the last
// byte is asked for: its answer says how long the whole is.
func sizeOf(ctx context.Context, s transport.Source, o transport.Object) (int64, error) {
	if to, ok := s.(store.Store); ok {
		return to.Stat(ctx, o.Path)
	}
	a, err := s.Span(ctx, o.Path, o.Size-1, o.Size, o.Size)
	if errors.Is(err, transport.ErrRange) || tuf.KindOf(err) != "" {
		a, err = s.Get(ctx, o.Path, 0)
	}
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	if a.Whole && a.Length >= 0 {
		return a.Length, nil
	}
	return o.Size, nil
}

// compare asks the first origin that answers how new its state is.
func (i *inspection) compare(ctx context.Context, origins []transport.Source) error {
	var failures []error
	for _, s := range origins {
		w := i.walk(s)
		err := w.Run(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failures = append(failures, failure(s, w.File, err))
			continue
		}
		o := &Origin{Source: s.String(), Version: w.Timestamp().Version, Published: w.Published()}
		i.report.Origin = o
		if o.Version <= i.report.Version {
			return nil
		}
		o.Behind = int64(o.Published.Sub(i.report.Published).Seconds())
		if since := i.Now().Sub(o.Published); since > i.maxAge {
			i.problem(repo.TimestampPath, tuf.Refuse(Behind, "the origin has shown version %d for %s; the mirror shows version %d",
				o.Version, since.Round(time.Minute), i.report.Version))
		}
		return nil
	}
	return worst(failures)
}

// Class is the exit class that a report's problems mean: Security where a client
// would refuse what is there, Stale where it has expired, Network where nothing
// usable answered, else Failed.
func (r *Report) Class() fault.Class {
	grave := []fault.Class{fault.Security, fault.Stale, fault.Network}
	worst := len(grave)
	for _, p := range r.Problems {
		class := p.Kind.Class()
		if p.Kind == Missing || p.Kind == Old || p.Kind == Behind {
			class = fault.Failed
		}
		if at := slices.Index(grave, class); at >= 0 {
			worst = min(worst, at)
		}
	}
	return append(grave, fault.Failed)[worst]
}
