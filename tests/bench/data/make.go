package data

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"

	"golang.org/x/sync/errgroup"

	"ashlar/pkgtool/build/seed"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/fault"
)

// layer is the part of packages.lock with the server's packages.
const layer = "server"

// Level is the level of zstd in all formats: pkgtool's default.
const Level = 9

// Make brings the dataset in dir up to date with the lock file and returns it.
// It needs root, for the owners that the other formats take from the disk, and
// their tools. say is told what is being done.
func Make(ctx context.Context, lockFile, dir string, say func(format string, args ...any)) (*Dataset, error) {
	lock, err := seed.ReadLock(lockFile)
	if err != nil {
		return nil, err
	}
	stamp := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, rules, upgraded, lock.Digest(layer))))
	if d, err := Open(dir); err == nil && d.Stamp == stamp {
		m := &maker{d, say}
		if d.readable() {
			return d, nil
		}
		// Our own format has changed since; the rest is still good.
		return d, m.ours(ctx)
	}
	if os.Geteuid() != 0 {
		return nil, fault.Mark(errors.New("the benchmark's packages can only be made by root"), fault.Usage, "rpm and pacman take owners from the disk; run it as root")
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(full), os.MkdirAll(full, 0o755)); err != nil {
		return nil, err
	}
	m := &maker{Dataset: &Dataset{Stamp: stamp, Wanted: lock.Wanted[layer], Packages: map[string][]Entry{}, dir: full}, say: say}
	sort.Strings(m.Wanted)
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return m.unpack(ctx, lock.Layers[layer]) },
		m.upgrade,
		m.fill,
		m.theirs,
		m.merge,
		m.ours,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return m.Dataset, nil
}

// ours makes what is in our own formats, and saves the description.
func (m *maker) ours(ctx context.Context) error {
	for _, step := range []func(context.Context) error{m.packOurs, m.publish} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return m.save()
}

// maker is one run of Make.
type maker struct {
	*Dataset
	say func(format string, args ...any)
}

// unpacked is the folder with the tree of one package.
func (m *maker) unpacked(set, name string) string { return m.Path(set, "trees", name) }

// each calls fn for all packages of a set, on all cores.
func (m *maker) each(ctx context.Context, set string, fn func(context.Context, *Entry) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range m.Packages[set] {
		e := &m.Packages[set][i]
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(ctx, e); err != nil {
				return fmt.Errorf("package %s of set %s: %w", e.Name, set, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// fetch returns the paths of the pinned packages in the sources cache.
func (m *maker) fetch(ctx context.Context, entries []seed.Entry) ([]string, error) {
	fetcher, err := source.Host()
	if err != nil {
		return nil, err
	}
	m.say("fetching %d packages", len(entries))
	paths := make([]string, len(entries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(source.Transfers)
	for i, e := range entries {
		group.Go(func() (err error) {
			paths[i], err = fetcher.Fetch(ctx, e.Source(), nil)
			return err
		})
	}
	return paths, group.Wait()
}
