package repo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
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
	if err := checkChannel(channel); err != nil {
		return nil, err
	}
	v, unlock, err := r.lockedView(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	a := &adding{view: v, channel: channel}
	taken, err := r.receive(ctx, files, a.known)
	defer discard(taken)
	if err != nil {
		return nil, err
	}
	var all []Added
	for _, in := range taken {
		added, err := a.decide(&in.entry)
		if err != nil {
			return nil, fmt.Errorf("add %s: %w", in.file, err)
		}
		all = append(all, *added)
	}
	if err := r.place(taken); err != nil {
		return nil, err
	}
	return all, v.save()
}

func checkChannel(name string) error {
	if !channelName.MatchString(name) {
		return fault.Mark(fmt.Errorf("invalid channel name %q", name), fault.Usage, "use lower-case letters, digits, _ and -")
	}
	return nil
}

// adding is one run of Add.
type adding struct {
	*view
	channel string
	mu      sync.Mutex // guards view while files are received
}

// decide lists a verified package in the channel.
func (a *adding) decide(e *index.Entry) (*Added, error) {
	added := &Added{Entry: *e, Channel: a.channel}
	there, err := a.coming(IndexTarget(a.channel, e.Arch), e.Name, e.ID())
	if err != nil {
		return nil, err
	}
	if there != nil && there.SHA256 == e.SHA256 {
		added.Unchanged = true
		return added, nil
	}
	if err := a.mayList(e, there); err != nil {
		return nil, err
	}
	if there != nil {
		added.Replaced = there.SHA256
	}
	return added, a.set(a.channel, *e)
}

// mayList refuses another build of a release that the channel has, or had
// until recently: what a version means must not change.
func (a *adding) mayList(e, there *index.Entry) error {
	if a.repository.config.Development {
		return nil
	}
	was := "already"
	if there == nil {
		var err error
		if there, err = a.listed(OldIndexTarget(a.channel, e.Arch), e.Name, e.ID()); err != nil {
			return err
		}
		was = "or was until recently"
	}
	if there == nil || there.SHA256 == e.SHA256 {
		return nil
	}
	return fault.Mark(fmt.Errorf("%s is %s in channel %s with other content", e.ID(), was, a.channel), fault.Usage,
		"raise the release in the recipe; only a repository made with --development takes another build of the same release")
}

// known returns the entry of a file that the channel lists under the file's
// name, which was verified when it came in. Several may ask at a time.
func (a *adding) known(file string, src *os.File) (*index.Entry, error) {
	info, err := src.Stat()
	if err != nil {
		return nil, err
	}
	candidate, err := a.candidate(strings.TrimSuffix(filepath.Base(file), pkgfile.MediaSuffix), info.Size())
	if candidate == nil || err != nil {
		return nil, err
	}
	if info, err := os.Stat(a.repository.path(filepath.FromSlash(candidate.Path))); err != nil || info.Size() != candidate.Size {
		return nil, nil // damage, which taking the file anew repairs
	}
	_, sum, err := index.Sum(src)
	if err != nil || sum != candidate.SHA256 {
		return nil, err
	}
	return candidate, nil
}

// candidate is the package of the channel that goes by a file's name, if it has
// the right size.
func (a *adding) candidate(base string, size int64) (*index.Entry, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rest, arch, ok := cutLast(base, ".")
	if !ok || !archName.MatchString(arch) {
		return nil, nil
	}
	target := IndexTarget(a.channel, arch)
	for at := strings.IndexByte(rest, '-'); at > 0 && at < len(rest); {
		e, err := a.coming(target, rest[:at], base)
		if err != nil {
			return nil, err
		}
		if e != nil && e.Size == size {
			return e, nil
		}
		next := strings.IndexByte(rest[at+1:], '-')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return nil, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

// SetListed makes entries the packages of a channel, without verifying
// anything, for those who bring the files into the pool themselves, such as
// tests of what a client does when an index lies.
func (r *Repository) SetListed(ctx context.Context, channel string, entries ...index.Entry) error {
	if err := checkChannel(channel); err != nil {
		return err
	}
	v, unlock, err := r.lockedView(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	before, err := v.channel(channel)
	if err != nil {
		return err
	}
	for _, e := range before {
		if err := v.drop(channel, e); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if err := e.Validate(); err != nil {
			return err
		}
		if err := v.set(channel, e); err != nil {
			return err
		}
	}
	return v.save()
}
