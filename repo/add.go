package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
	"ashlar/signing"
)

// Added is what Add did with one package.
type Added struct {
	index.Entry
	Channel string `json:"channel"`
	// Unchanged is true if the channel had exactly this file already.
	Unchanged bool `json:"unchanged,omitempty"`
	// Replaced is the sha256 of another build of the same version and release
	// that this one takes the place of; development repositories only.
	Replaced string `json:"replaced,omitempty"`
}

// Add takes package files into a channel. Each is copied and the copy verified
// completely, payload and signature by an allowed packager, before it counts.
// Either all files are taken or none; clients see them with the next Publish.
func (r *Repository) Add(ctx context.Context, channel string, files ...string) ([]Added, error) {
	if !channelName.MatchString(channel) {
		return nil, fault.Mark(fmt.Errorf("invalid channel name %q", channel), fault.Usage, "use lower-case letters, digits, _ and -")
	}
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	published, err := readState(r.dir)
	if err != nil {
		return nil, err
	}
	kr, err := r.keyring()
	if err != nil {
		return nil, err
	}
	a := &adding{Repository: r, keyring: kr, channel: channel, published: published, indexes: map[string][]index.Entry{}}
	var all []Added
	for _, file := range files {
		added, err := a.add(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("add %s: %w", file, err)
		}
		all = append(all, *added)
	}
	for name := range a.changed {
		if err := r.writePending(name, a.indexes[name]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// adding is one run of Add.
type adding struct {
	*Repository
	keyring   *signing.Keyring
	channel   string
	published *state
	indexes   map[string][]index.Entry // as they will be, by target name
	changed   map[string]bool
}

func (a *adding) add(ctx context.Context, file string) (*Added, error) {
	src, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	// A file that the channel lists was verified when it came in.
	known, err := a.known(src)
	if err != nil || known != nil {
		return known, err
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	tmp, entry, err := a.takeCopy(ctx, src)
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp) // fails once it has its final name
	added := &Added{Entry: *entry, Channel: a.channel}
	name := IndexTarget(a.channel, entry.Arch)
	entries, err := a.index(name)
	if err != nil {
		return nil, err
	}
	at := -1
	for i := range entries {
		if entries[i].ID() == entry.ID() {
			at = i
		}
	}
	if at >= 0 && entries[at].SHA256 == entry.SHA256 {
		added.Unchanged = true
		return added, nil
	}
	if at >= 0 && !a.config.Development {
		return nil, fault.Mark(fmt.Errorf("%s is already in channel %s with other content", entry.ID(), a.channel), fault.Usage,
			"raise the release in the recipe; only a repository made with --development takes another build of the same release")
	}
	if err := a.store(tmp, entry); err != nil {
		return nil, err
	}
	if at >= 0 {
		added.Replaced = entries[at].SHA256
		entries[at] = *entry
	} else {
		entries = append(entries, *entry)
	}
	a.set(name, entries)
	return added, nil
}

// known returns the entry of a file that some index of the channel lists.
func (a *adding) known(src io.Reader) (*Added, error) {
	_, sum, err := index.Sum(src)
	if err != nil {
		return nil, err
	}
	names, err := a.wantedIndexes(a.published)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if channel, _, _ := parseIndexTarget(name); channel == a.channel {
			if _, err := a.index(name); err != nil {
				return nil, err
			}
		}
	}
	for _, entries := range a.indexes {
		for _, e := range entries {
			if e.SHA256 != sum {
				continue
			}
			if info, err := os.Stat(a.path(filepath.FromSlash(e.Path))); err == nil && info.Size() == e.Size {
				return &Added{Entry: e, Channel: a.channel, Unchanged: true}, nil
			}
		}
	}
	return nil, nil
}

func (a *adding) index(name string) ([]index.Entry, error) {
	if entries, ok := a.indexes[name]; ok {
		return entries, nil
	}
	entries, err := a.wanted(a.published, name)
	if err != nil {
		return nil, err
	}
	a.indexes[name] = entries
	return entries, nil
}

func (a *adding) set(name string, entries []index.Entry) {
	a.indexes[name] = entries
	if a.changed == nil {
		a.changed = map[string]bool{}
	}
	a.changed[name] = true
}

// takeCopy copies a package into the repository under a temporary name and
// verifies the copy, so that what was verified is what is kept.
func (a *adding) takeCopy(ctx context.Context, src io.Reader) (path string, entry *index.Entry, err error) {
	tmp, err := os.CreateTemp(a.path(privateDir), "incoming.*.tmp")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(tmp, h), src)
	if err != nil {
		return "", nil, err
	}
	p, err := pkgfile.Open(tmp, size)
	if err != nil {
		return "", nil, fault.Mark(err, fault.Security, "")
	}
	if err := verifyPackage(ctx, p, a.keyring); err != nil {
		return "", nil, err
	}
	e := index.FromPackage(p, size, hex.EncodeToString(h.Sum(nil)))
	if err := e.Validate(); err != nil {
		return "", nil, err
	}
	if err := e.CheckDependencies(); err != nil {
		return "", nil, err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return "", nil, err
	}
	return tmp.Name(), &e, tmp.Sync()
}

// store gives a verified copy its place in the pool.
func (a *adding) store(tmp string, e *index.Entry) error {
	path := a.path(filepath.FromSlash(e.Path))
	if err := mkdirDurable(a.dir, filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// mkdirDurable makes dir and those above it, below base, and flushes the names.
func mkdirDurable(base, dir string) error {
	if _, err := os.Stat(dir); err == nil || dir == base {
		return err
	}
	parent := filepath.Dir(dir)
	if err := mkdirDurable(base, parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return durable.SyncDir(parent)
}

// verifyPackage checks a package's payload and its signature.
func verifyPackage(ctx context.Context, p *pkgfile.Package, kr *signing.Keyring) error {
	if _, err := p.VerifySignature(kr, signing.Policy{}); err != nil {
		return fault.Mark(err, fault.Security,
			"sign it with an allowed key, or allow the packager's key: pkgtool repo allow DIR KEYFILE")
	}
	return fault.Mark(p.Verify(ctx), fault.Security, "build the package again")
}
