package seed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
)

// Status says how far a layer is.
type Status struct {
	Layer               string
	Unpacked, Packages  int
	Fetched, TotalBytes int64 // of the packages; the total leaves out Go modules
}

// Progress is told the status whenever it changes; calls never overlap.
type Progress func(Status)

// LayerDir is where the layer's tree is, or will be, below cacheDir.
func (l *Lock) LayerDir(cacheDir, layer string) string {
	return filepath.Join(cacheDir, "seed", layer+"-"+l.Digest(layer)[:32])
}

// Materialize returns the folder with the layer's tree, after fetching and
// unpacking its packages if it is not in the cache yet. The tree is shared and
// must not be changed. progress may be nil.
func Materialize(ctx context.Context, l *Lock, layer string, fetcher *source.Fetcher, cacheDir string, progress Progress) (string, error) {
	entries, ok := l.Layers[layer]
	if !ok {
		return "", fault.Mark(fmt.Errorf("the seed has no layer %q", layer), fault.Usage, "it has "+strings.Join(l.LayerNames(), ", "))
	}
	final := l.LayerDir(cacheDir, layer)
	if exists(final) {
		return final, nil
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, final+".lock")
	if err != nil {
		return "", fmt.Errorf("seed layer %s: %w", layer, err)
	}
	defer unlock()
	if exists(final) {
		return final, nil
	}
	partial := final + ".partial" // alone under the lock: a rest is of a run that was cut off
	if err := os.RemoveAll(partial); err != nil {
		return "", err
	}
	if err := makeLayer(ctx, layer, entries, fetcher, partial, progress); err != nil {
		os.RemoveAll(partial)
		return "", fmt.Errorf("seed layer %s: %w", layer, err)
	}
	if err := os.Rename(partial, final); err != nil {
		return "", err
	}
	return final, durable.SyncDir(filepath.Dir(final))
}

func exists(dir string) bool {
	_, err := os.Lstat(dir)
	return err == nil
}

func makeLayer(ctx context.Context, layer string, entries []Entry, fetcher *source.Fetcher, dir string, progress Progress) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	t := &tree{layer, root}
	board := newBoard(layer, entries, progress)
	unpacking := make(chan struct{}, runtime.GOMAXPROCS(0))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(source.Transfers)
	for _, e := range entries {
		group.Go(func() error {
			path, err := fetcher.Fetch(ctx, e.Source(), board.transfer)
			if err != nil {
				return err
			}
			board.fetched(e)
			select {
			case unpacking <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-unpacking }()
			if e.GoMod != "" {
				err = t.addGo(path, e)
			} else {
				err = t.addPackage(ctx, path)
			}
			if err != nil {
				return fmt.Errorf("unpack %s: %w", e.Name(), err)
			}
			board.unpacked()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := t.addSystem(); err != nil {
		return err
	}
	if err := t.finish(dir); err != nil {
		return err
	}
	return flush(dir)
}

// flush brings the whole tree to the disk before its name says it is complete.
func flush(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}

// board adds up what the parallel transfers report.
type board struct {
	mu     sync.Mutex
	status Status
	part   map[string]int64 // of running transfers
	full   int64            // of finished ones
	tell   Progress
}

func newBoard(layer string, entries []Entry, tell Progress) *board {
	b := &board{status: Status{Layer: layer, Packages: len(entries)}, part: map[string]int64{}, tell: tell}
	for _, e := range entries {
		b.status.TotalBytes += e.Size
	}
	return b
}

func (b *board) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	b.status.Fetched = b.full
	for _, n := range b.part {
		b.status.Fetched += n
	}
	if b.tell != nil {
		b.tell(b.status)
	}
}

func (b *board) transfer(name string, done, _ int64) { b.change(func() { b.part[name] = done }) }

func (b *board) fetched(e Entry) {
	b.change(func() {
		delete(b.part, e.Source().Name())
		b.full += e.Size
	})
}

func (b *board) unpacked() { b.change(func() { b.status.Unpacked++ }) }

// lock takes the lock file against other processes and goroutines.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			file.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
