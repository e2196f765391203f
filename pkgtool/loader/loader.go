package loader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"

	"golang.org/x/sys/unix"
)

// CmdlinePath is the kernel's command line, root= included, for all entries that
// are made from now on.
const CmdlinePath = "etc/kernel/cmdline"

// Loader is the boot loader of one system. Its methods need root.
type Loader struct {
	system  *system.System
	volumes []string
}

// Attach lets a system's transactions keep its boot loader up to date, if it has
// one of ours; else it returns nil.
func Attach(s *system.System) (*Loader, error) {
	root, err := os.OpenRoot(s.Root())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	volumes, err := partitions(root)
	if err != nil || len(volumes) == 0 {
		return nil, err
	}
	l := &Loader{s, volumes}
	s.SetLoader(l)
	return l, nil
}

// Prepare puts kernel, initial RAM file system and entry of a generation beside
// the others; usr is the folder that is, or will be, its /usr.
func (l *Loader) Prepare(ctx context.Context, g *system.Generation, usr string) error {
	options, err := l.options()
	if err != nil {
		return err
	}
	k, err := findKernel(os.DirFS(usr), options)
	if err != nil {
		return err
	}
	e := k.entry(g.Number, options)
	return l.each(func(dir string) error {
		key, err := l.key(dir)
		if err != nil {
			return err
		}
		files := map[string][]byte{}
		if !complete(dir, e.Kernel, key) {
			files[e.Kernel] = k.image
		}
		if !complete(dir, e.Initrd, key) {
			if files[e.Initrd], err = k.ramdisk(ctx); err != nil {
				return err
			}
		}
		if err := l.room(dir, e, files); err != nil {
			return err
		}
		for name, content := range files {
			if err := placeSigned(dir, name, content, key); err != nil {
				return err
			}
		}
		if err := place(dir, entriesDir+"/"+entryName(e.Generation), e.encode()); err != nil {
			return err
		}
		return flush(dir)
	})
}

func there(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Size() > 0
}

// options reads the kernel's command line.
func (l *Loader) options() (string, error) {
	text, err := os.ReadFile(filepath.Join(l.system.Root(), CmdlinePath))
	if err != nil {
		return "", fault.Mark(err, fault.Usage, "write the kernel's command line, with root=UUID=..., into /"+CmdlinePath)
	}
	return kernelOptions(string(text))
}

// prettyName is what the system calls itself.
func prettyName(usr fs.FS) string {
	text, _ := fs.ReadFile(usr, "lib/os-release")
	for _, line := range strings.Split(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			if name = strings.Trim(name, `"'`); name != "" && !strings.ContainsAny(name, "'\\") {
				return name
			}
		}
	}
	return "Ashlar"
}

// Switch makes a generation the one that starts by default. Until it was
// blessed it has MaxTries tries.
func (l *Loader) Switch(ctx context.Context, g *system.Generation) error {
	return l.set(ctx, g.Number, func(s *State) {
		if s.Generation != g.Number || s.Good != g.Number {
			s.Generation, s.Tries = g.Number, MaxTries
		}
	})
}

// set changes what starts. number is a generation whose entry must be there; the
// one that runs gets it now if need be.
func (l *Loader) set(ctx context.Context, number int, change func(*State)) error {
	if err := l.ensure(ctx, number); err != nil {
		return err
	}
	password, err := readPassword(os.DirFS(l.system.Root()))
	if err != nil {
		return err
	}
	return l.each(func(dir string) error {
		key, err := l.key(dir)
		if err != nil {
			return err
		}
		entries, err := readEntries(dir)
		if err != nil {
			return err
		}
		state := readState(dir)
		change(&state)
		if state.Good == 0 || !slices.ContainsFunc(entries, func(e *Entry) bool { return e.Generation == state.Good }) {
			state.Good, state.Tries = 0, -1 // nothing to come back to
		}
		kept, gone, err := l.sift(entries, state)
		if err != nil {
			return err
		}
		text, err := menu(kept, state.Good, password)
		if err != nil {
			return err
		}
		old := state.Menu
		state.Menu = state.other()
		if err := placeSigned(dir, menuPath(state.Menu), text, key); err != nil {
			return err
		}
		if err := flush(dir); err != nil {
			return err
		}
		if err := overwrite(filepath.Join(dir, StatePath), state.encode()); err != nil {
			return fmt.Errorf("switch from menu %s to %s: %w", old, state.Menu, err)
		}
		return sweep(dir, kept, gone)
	})
}

// ensure makes the entry of the current generation if it is missing.
func (l *Loader) ensure(ctx context.Context, number int) error {
	missing := false
	err := l.each(func(dir string) error {
		text, err := os.ReadFile(filepath.Join(dir, entriesDir, entryName(number)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		key, err := l.key(dir)
		if err != nil {
			return err
		}
		e := decodeEntry(number, text)
		missing = missing || e == nil || !complete(dir, e.Kernel, key) || e.Initrd != "" && !complete(dir, e.Initrd, key)
		return nil
	})
	if err != nil || !missing {
		return err
	}
	current := l.system.Generation()
	if current.Number != number {
		return fmt.Errorf("the boot loader has no entry for generation %d", number)
	}
	return l.Prepare(ctx, current, filepath.Join(l.system.Root(), "usr"))
}

// sift tells entries of generations that one can return to from others.
func (l *Loader) sift(entries []*Entry, state State) (kept, gone []*Entry, err error) {
	history, err := l.system.History()
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		known := slices.ContainsFunc(history, func(g *system.Generation) bool { return g.Number == e.Generation })
		if known || e.Generation == state.Generation || e.Generation == state.Good {
			kept = append(kept, e)
		} else {
			gone = append(gone, e)
		}
	}
	return kept, gone, nil
}

// sweep removes entries, and files that no entry names any more.
func sweep(dir string, kept, gone []*Entry) error {
	for _, e := range gone {
		if err := os.Remove(filepath.Join(dir, entriesDir, entryName(e.Generation))); err != nil {
			return err
		}
	}
	used := map[string]bool{}
	for _, e := range kept {
		for _, name := range []string{path.Base(e.Kernel), path.Base(e.Initrd)} {
			used[name], used[name+signature] = true, true
		}
	}
	names, err := os.ReadDir(filepath.Join(dir, filesDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if !used[name.Name()] {
			if err := os.Remove(filepath.Join(dir, filesDir, name.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// room makes room for files by dropping the oldest entries that are neither
// default nor good. It refuses before anything is written.
func (l *Loader) room(dir string, coming *Entry, files map[string][]byte) error {
	need := int64(1 << 20) // menus, entries, folders
	for _, content := range files {
		need += int64(len(content))
	}
	entries, err := readEntries(dir)
	if err != nil {
		return err
	}
	state := readState(dir)
	kept, gone, err := l.sift(entries, state)
	if err != nil {
		return err
	}
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			return err
		}
		if free := int64(st.Bavail) * st.Bsize; free >= need {
			return nil
		} else if len(gone) == 0 {
			i := slices.IndexFunc(kept, func(e *Entry) bool {
				return e.Generation != state.Generation && e.Generation != state.Good && e.Generation != coming.Generation
			})
			if i < 0 {
				return fault.Mark(fmt.Errorf("the EFI system partition has %d MiB free, and %d are needed", free>>20, need>>20), fault.Failed, "remove what does not belong there, or make it larger")
			}
			gone, kept = append(gone, kept[i]), slices.Delete(kept, i, i+1)
		}
		if err := sweep(dir, append(slices.Clone(kept), coming), gone); err != nil {
			return err
		}
		if err := flush(dir); err != nil {
			return err
		}
		gone = nil
	}
}

// each does the same on every EFI system partition. Those of disks that are gone
// are left out, as long as there is one: an array does without a disk, too.
func (l *Loader) each(work func(dir string) error) error {
	var missing error
	done := false
	for _, volume := range l.volumes {
		err := withPartition(volume, work)
		if errors.Is(err, errNoVolume) {
			missing = errors.Join(missing, err)
			continue
		}
		if err != nil {
			return err
		}
		done = true
	}
	if !done {
		return missing
	}
	return nil
}

// first does something with the first one that is there.
func (l *Loader) first(work func(dir string) error) (err error) {
	for _, volume := range l.volumes {
		if err = withPartition(volume, work); !errors.Is(err, errNoVolume) {
			return err
		}
	}
	return err
}

// readEntries returns the entries that are whole, the oldest first.
func readEntries(dir string) ([]*Entry, error) {
	names, err := os.ReadDir(filepath.Join(dir, entriesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []*Entry
	for _, name := range names {
		number, ours := generationOf(name.Name())
		if !ours {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entriesDir, name.Name()))
		if err != nil {
			return nil, err
		}
		e := decodeEntry(number, text)
		if e != nil && there(dir, e.Kernel) && (e.Initrd == "" || there(dir, e.Initrd)) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *Entry) int { return a.Generation - b.Generation })
	return entries, nil
}

func readState(dir string) State {
	block, _ := os.ReadFile(filepath.Join(dir, StatePath)) // a missing one is a new one
	return decodeState(block)
}
