package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"ashlar/pkgtool/build/source/git"

	"golang.org/x/sync/errgroup"
)

// Bounds of asking whether sources are still to be had.
const (
	askTime   = 30 * time.Second // for one place
	asks      = 16               // at a time
	asksAHost = 4                // at a time, of one host
)

// RemoteReport tells which sources are still to be had.
type RemoteReport struct {
	Schema  int            `json:"schema"` // 1
	Sources []RemoteSource `json:"sources"`
}

// RemoteSource is one source and what its places answered.
type RemoteSource struct {
	Name   string        `json:"name"`
	SHA256 string        `json:"sha256,omitempty"`
	H1     string        `json:"h1,omitempty"`
	Had    bool          `json:"had"` // one place at least has it
	Places []RemotePlace `json:"places"`
}

// RemotePlace is one place's answer.
type RemotePlace struct {
	Where   string `json:"where"` // without passwords and queries
	Had     bool   `json:"had"`
	Outcome string `json:"outcome"` // "ok", or why not
}

// VerifyRemote asks every place of every source whether the file is still
// there, and has its size where that is known, without fetching it: it cannot
// see whether the bytes are the pinned ones. At most 16 places are asked at a
// time, 4 of one host, each for at most 30 seconds.
func (f *Fetcher) VerifyRemote(ctx context.Context, sources []Source) (*RemoteReport, error) {
	f.init()
	sources = Distinct(sources)
	report := &RemoteReport{Schema: 1, Sources: make([]RemoteSource, len(sources))}
	hosts := &hostSlots{slots: map[string]chan struct{}{}}
	var group errgroup.Group
	group.SetLimit(asks)
	for i, s := range sources {
		group.Go(func() error {
			report.Sources[i] = f.askSource(ctx, s, hosts)
			return nil
		})
	}
	group.Wait()
	return report, ctx.Err()
}

func (f *Fetcher) askSource(ctx context.Context, s Source, hosts *hostSlots) RemoteSource {
	r := RemoteSource{Name: s.Name(), SHA256: s.SHA256, H1: s.H1, Places: []RemotePlace{}}
	add := func(where string, err error) {
		p := RemotePlace{Where: Redact(where), Had: err == nil, Outcome: "ok"}
		if err != nil {
			p.Outcome = err.Error()
		}
		r.Had = r.Had || p.Had
		r.Places = append(r.Places, p)
	}
	if err := s.Check(); err != nil {
		add("", err)
		return r
	}
	locations, tried := f.locate(s)
	for _, l := range locations {
		add(l, hosts.with(ctx, l, func(ctx context.Context) error { return f.ask(ctx, l, s.Size) }))
	}
	for _, t := range tried {
		add(t.Where, t.Outcome)
	}
	if s.Git != nil {
		add(s.Git.URL, hosts.with(ctx, s.Git.URL, func(ctx context.Context) error {
			_, err := git.Resolve(ctx, f.client, s.Git.URL, s.Git.Ref)
			return err
		}))
	}
	return r
}

// ask looks whether a place has a file of that size; 0 is any.
func (f *Fetcher) ask(ctx context.Context, location string, size int64) error {
	found := int64(-1)
	if strings.HasPrefix(location, "file:") {
		u, err := url.Parse(location)
		if err != nil {
			return err
		}
		info, err := os.Stat(u.Path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return errors.New("not a regular file")
		}
		found = info.Size()
	} else {
		request, err := http.NewRequestWithContext(ctx, http.MethodHead, location, nil)
		if err != nil {
			return plain(err)
		}
		answer, err := f.client.Do(request)
		if err != nil {
			return plain(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return &StatusError{answer.StatusCode, answer.Status}
		}
		found = answer.ContentLength
	}
	if size > 0 && found >= 0 && found != size {
		return fmt.Errorf("%d bytes, where %d are pinned", found, size)
	}
	return nil
}

// hostSlots bounds how many requests one host has at a time.
type hostSlots struct {
	mu    sync.Mutex
	slots map[string]chan struct{}
}

func (h *hostSlots) with(ctx context.Context, location string, do func(context.Context) error) error {
	host := ""
	if u, err := url.Parse(location); err == nil {
		host = u.Host
	}
	h.mu.Lock()
	slot := h.slots[host]
	if slot == nil {
		slot = make(chan struct{}, asksAHost)
		h.slots[host] = slot
	}
	h.mu.Unlock()
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-slot }()
	ctx, cancel := context.WithTimeoutCause(ctx, askTime, fmt.Errorf("no answer within %s", askTime))
	defer cancel()
	err := do(ctx)
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		err = context.Cause(ctx)
	}
	return err
}
