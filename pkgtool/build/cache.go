package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/durable"

	"golang.org/x/sys/unix"
)

// Cache keeps what was built:
//
//	installed/<action>/      what an action installed, with <action>.json beside it
//	failed/<recipe>/         the last build of a recipe, where that failed
//	tests/<key>.json         tests of packages that succeeded
//	results/<key>.json       the packages made of it
//	packages/<sha256>.ashlar package files, unsigned
//	trees/<sha256>/          the files of a package, as a layer of build roots
//	logs/<recipe>-<action>   the log of the last run of an action
//	last/<recipe>.json       the last action of a recipe
//	actions/<action>.json    every action that a result is of
//	interfaces/<sha256>.json the interface digest of a package
//	links/<key>.json         a result that will do, with interface digests
//	modules/<key>.json       what a package came out as with signed kernel modules
//	work/                    builds under way
type Cache struct {
	dir   string
	users users
	left  error // what of killed builds could not be removed
}

// OpenCache makes the folder ready and removes what killed builds left there.
// What cannot be removed is no error; an engine warns of it.
func OpenCache(dir string) (*Cache, error) {
	c := &Cache{dir: dir}
	for _, sub := range []string{"installed", "failed", "tests", "results", "packages", "trees", "logs", "last", "actions", "interfaces", "links", "modules", "locks", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("build cache: %w", explainDisk(err))
		}
	}
	if err := c.join(); err != nil {
		return nil, fmt.Errorf("build cache: %w", explainDisk(err))
	}
	c.left = c.sweep()
	return c, nil
}

// Dir is the folder of the cache.
func (c *Cache) Dir() string { return c.dir }

func (c *Cache) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

// lockFile is an advisory lock that ends with the process that holds it.
type lockFile struct{ f *os.File }

func (l lockFile) release() { l.f.Close() }

var errLocked = errors.New("locked")

func tryLock(path string) (lockFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return lockFile{}, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return lockFile{}, errLocked
		}
		return lockFile{}, fmt.Errorf("lock %s: %w", path, err)
	}
	return lockFile{f}, nil
}

// lock waits until no other process and no other goroutine holds the name.
// waiting is called once when there is something to wait for.
func (c *Cache) lock(ctx context.Context, name string, waiting func()) (lockFile, error) {
	told := false
	for {
		l, err := tryLock(c.path("locks", name))
		if !errors.Is(err, errLocked) {
			return l, err
		}
		if !told {
			waiting()
			told = true
		}
		select {
		case <-ctx.Done():
			return lockFile{}, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// workDir is a folder of one build. Its lock shows that the build lives.
type workDir struct {
	path string
	lock lockFile
}

// newWork makes a folder for a build.
func (c *Cache) newWork(name string) (*workDir, error) {
	gate, err := c.workGate()
	if err != nil {
		return nil, err
	}
	defer gate.release()
	dir, err := os.MkdirTemp(c.path("work"), name+"-")
	if err != nil {
		return nil, explainDisk(err)
	}
	lock, err := tryLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, explainDisk(err)
	}
	return &workDir{dir, lock}, nil
}

// remove deletes the folder.
func (w *workDir) remove() error {
	defer w.lock.release()
	return sandbox.RemoveTree(w.path)
}

// workGate orders the making of work folders against their sweeping.
func (c *Cache) workGate() (lockFile, error) {
	return c.lock(context.Background(), "work", func() {})
}

// sweep removes the work folders of processes that are gone.
func (c *Cache) sweep() error {
	gate, err := c.workGate()
	if err != nil {
		return err
	}
	defer gate.release()
	entries, err := os.ReadDir(c.path("work"))
	if err != nil {
		return err
	}
	var problems []error
	for _, e := range entries {
		dir := c.path("work", e.Name())
		l, err := tryLock(filepath.Join(dir, "lock"))
		if errors.Is(err, errLocked) {
			continue
		}
		if err == nil {
			l.release()
		}
		problems = append(problems, sandbox.RemoveTree(dir))
	}
	return errors.Join(problems...)
}

// keep moves a finished folder into the cache, durably: complete or absent.
func (c *Cache) keep(from string, to ...string) error {
	d, err := os.Open(from)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(d.Fd()))
	d.Close()
	if err != nil {
		return fmt.Errorf("flush %s: %w", from, explainDisk(err))
	}
	target := c.path(to...)
	if err := os.Rename(from, target); err != nil {
		if _, statErr := os.Lstat(target); statErr == nil {
			return nil // another engine was first; the content is the same
		}
		return err
	}
	return durable.SyncDir(filepath.Dir(target))
}

// readJSON reports whether the entry is there; one that cannot be read counts
// as absent and is made anew.
func (c *Cache) readJSON(into any, parts ...string) bool {
	data, err := os.ReadFile(c.path(parts...))
	return err == nil && json.Unmarshal(data, into) == nil
}

func (c *Cache) writeJSON(v any, parts ...string) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return explainDisk(durable.WriteFile(c.path(parts...), append(data, '\n'), 0o644))
}

// logPath is where the log of an action stands.
func (c *Cache) logPath(recipe, action string) string {
	return c.path("logs", recipe+"-"+action[:12]+".log")
}

// exists reports whether a cache entry is there.
func (c *Cache) exists(parts ...string) bool {
	_, err := os.Lstat(c.path(parts...))
	return !errors.Is(err, fs.ErrNotExist)
}

// dropOlder removes what earlier actions of a recipe installed: it only saves
// dividing the files again, and is big.
func (c *Cache) dropOlder(recipe, action string) {
	old, err := filepath.Glob(c.path("installed", recipe+"-*.json"))
	if err != nil {
		return
	}
	for _, entry := range old {
		base := strings.TrimSuffix(filepath.Base(entry), ".json")
		if key, ok := strings.CutPrefix(base, recipe+"-"); !ok || len(key) != len(action) || key == action {
			continue
		}
		// Removing is best effort: the next build of the recipe tries again.
		if os.Remove(entry) == nil {
			_ = sandbox.RemoveTree(c.path("installed", base))
		}
	}
}

// touch notes that an entry is in use, to the hour.
func (c *Cache) touch(parts ...string) {
	path, now := c.path(parts...), time.Now()
	if info, err := os.Stat(path); err == nil && now.Sub(info.ModTime()) > time.Hour {
		_ = os.Chtimes(path, now, now) // else it counts as unused for longer
	}
}
