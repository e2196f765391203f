package web

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ashlar/repo"
)

// loader keeps the state that a repository shows, and reads it anew when
// another is published. Whoever asks meanwhile gets the one before.
type loader struct {
	dir     string
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	state   *state
	failure error         // why the last attempt gave none
	tried   stamp         // what the last attempt was made of
	again   time.Time     // when to try once more after a failure
	loading chan struct{} // closed when the attempt that is under way ends; nil if none is
}

// retryAfter is the time between attempts to read what cannot be read, such as
// a mirror in the middle of a copy by a program that is not ours.
const retryAfter = 2 * time.Second

// stamp tells one published state from another: publishing replaces
// timestamp.json, or brings a new root.
type stamp struct {
	modified time.Time
	size     int64
	exists   bool
	newRoot  bool // there is one after that of the state
}

func (l *loader) start(ctx context.Context, dir string) {
	l.dir = dir
	l.ctx, l.cancel = context.WithCancel(ctx)
}

// Close ends what goes on in the background.
func (l *loader) Close() error {
	l.cancel()
	l.running.Wait()
	return nil
}

func (l *loader) stamp(of *state) (s stamp) {
	info, err := os.Stat(filepath.Join(l.dir, filepath.FromSlash(repo.TimestampPath)))
	if err == nil {
		s.modified, s.size, s.exists = info.ModTime(), info.Size(), true
	}
	if of != nil {
		_, err := os.Stat(filepath.Join(l.dir, filepath.FromSlash(repo.MetadataPath("root", of.Roles[0].Version+1))))
		s.newRoot = err == nil
	}
	return s
}

// current returns the state to show, and why there is no newer one, if so. The
// state is nil if none was ever read. Only for the first one it waits, until ctx ends.
func (l *loader) current(ctx context.Context) (*state, error) {
	l.mu.Lock()
	seen := l.stamp(l.state)
	stale := seen != l.tried || l.state == nil && l.failure == nil || l.failure != nil && time.Now().After(l.again)
	if stale && l.loading == nil && l.ctx.Err() == nil {
		l.loading = make(chan struct{})
		l.running.Go(l.load)
	}
	st, failure, loading := l.state, l.failure, l.loading
	l.mu.Unlock()
	if st != nil || loading == nil {
		return st, failure
	}
	select {
	case <-loading:
	case <-ctx.Done():
		return nil, errors.New("the repository is still being read")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.failure
}

// load reads the state and puts it in the place of the old one.
func (l *loader) load() {
	l.mu.Lock()
	old := l.state
	l.mu.Unlock()
	seen := l.stamp(old)
	st, err := readState(l.ctx, l.dir, old)
	for range 3 { // published meanwhile: what was read may not fit together
		now := l.stamp(old)
		if err == nil || now == seen {
			break
		}
		seen = now
		st, err = readState(l.ctx, l.dir, old)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.state, seen.newRoot = st, false
	}
	l.failure, l.tried, l.again = l.told(err), seen, time.Now().Add(retryAfter)
	close(l.loading)
	l.loading = nil
}

// told makes an error fit for people who must not learn where on the server's
// disk the repository is.
func (l *loader) told(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(problemOf(err), filepath.Clean(l.dir)+string(filepath.Separator), ""))
}

// problemOf says what is wrong, to people who cannot see the server's disk.
func problemOf(err error) string {
	switch {
	case errors.Is(err, errAbsent):
		return errAbsent.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "reading it took too long; try again"
	case errors.Is(err, fs.ErrNotExist):
		return "a file of the published state is missing: " + line(err.Error(), maxText)
	}
	return line(err.Error(), maxText)
}
