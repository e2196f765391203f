package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ashlar/pkgtool/version"
	"ashlar/repo"
	"ashlar/repo/advisory"
	"ashlar/repo/index"
	"ashlar/signing"
)

// state is one published state, ready for pages. It does not change.
type state struct {
	*repo.Published
	keyring    *signing.Keyring
	shelves    []*shelf // the default channel's first, then by channel and arch
	absent     []repo.PublishedIndex
	names      []string // of all packages, sorted
	builds     int      // different package files
	bytes      int64    // of them
	latest     []fresh  // newest first
	missing    []string // files that an index names and the pool does not have
	advisories []*advisory.Advisory
	about      map[string][]*advisory.Advisory // by package
	facts      *cache                          // about package files that were opened
}

// fresh is a package that came recently.
type fresh struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Arch     string    `json:"arch"`
	Channels []string  `json:"channels"`
	Summary  string    `json:"summary"`
	SHA256   string    `json:"sha256"`
	Added    time.Time `json:"added"`
	Link     string    `json:"-"`
}

// build is a package file, and where it is offered.
type build struct {
	index.Entry
	Channels []string
}

// latestCount is how many packages the page and the feed of new ones show.
const latestCount = 50

// readState reads what dir shows. Shelves that did not change are taken from
// old, which may be nil.
func readState(ctx context.Context, dir string, old *state) (*state, error) {
	published, err := repo.ReadPublished(dir)
	if err != nil {
		return nil, err
	}
	s := &state{Published: published, facts: newCache()}
	if s.keyring, err = signing.NewKeyring(published.Packagers...); err != nil {
		return nil, err
	}
	for _, i := range published.Indexes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		one, err := s.readShelf(i, old)
		if errors.Is(err, fs.ErrNotExist) {
			s.absent = append(s.absent, i)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("index of channel %s, arch %s: %w", i.Channel, i.Arch, err)
		}
		s.shelves = append(s.shelves, one)
	}
	if len(s.shelves) == 0 && len(s.absent) > 0 {
		return nil, fmt.Errorf("none of the %d indexes is there: %w", len(s.absent), fs.ErrNotExist)
	}
	slices.SortStableFunc(s.shelves, func(a, b *shelf) int {
		return cmp.Or(compareChannels(a.Channel, b.Channel), cmp.Compare(a.Arch, b.Arch))
	})
	if s.advisories, err = published.Advisories(); err != nil {
		return nil, err
	}
	s.about = map[string][]*advisory.Advisory{}
	for _, a := range s.advisories {
		for _, name := range a.Packages() {
			s.about[name] = append(s.about[name], a)
		}
	}
	return s, s.count(dir)
}

func (s *state) readShelf(i repo.PublishedIndex, old *state) (*shelf, error) {
	if old != nil {
		for _, known := range old.shelves {
			if known.SHA256 == i.SHA256 && known.Channel == i.Channel && known.Arch == i.Arch {
				return known, nil
			}
		}
	}
	entries, err := s.Entries(i)
	if err != nil {
		return nil, err
	}
	return newShelf(i, entries)
}

// compareChannels puts the channel that systems follow by default first.
func compareChannels(a, b string) int {
	if a == b {
		return 0
	}
	if a == repo.DefaultChannel {
		return -1
	}
	if b == repo.DefaultChannel {
		return 1
	}
	return cmp.Compare(a, b)
}

// count looks at every package once: is it there, how large is it, how new.
func (s *state) count(dir string) error {
	seen := map[string]bool{}
	var recent []place
	for _, shelf := range s.shelves {
		s.names = append(s.names, shelf.names...)
		for n := range shelf.Len() {
			e, err := shelf.Entry(n)
			if err != nil {
				return err
			}
			if seen[e.SHA256] {
				continue
			}
			seen[e.SHA256] = true
			s.bytes += e.Size
			info, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(e.Path)))
			if err != nil || !info.Mode().IsRegular() || info.Size() != e.Size {
				s.missing = append(s.missing, e.Path)
				continue
			}
			recent = append(recent, place{shelf, n, info.ModTime().Unix()})
		}
	}
	s.builds = len(seen)
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	slices.Sort(s.missing)
	return s.findLatest(recent)
}

// place is where a package stands, and when it came.
type place struct {
	shelf *shelf
	n     int
	added int64
}

func (s *state) findLatest(all []place) error {
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(b.added, a.added), cmp.Compare(a.shelf.names[a.n], b.shelf.names[b.n]), cmp.Compare(b.n, a.n))
	})
	for _, p := range all[:min(latestCount, len(all))] {
		e, err := p.shelf.Entry(p.n)
		if err != nil {
			return err
		}
		all, err := s.buildsOf(e.Name)
		if err != nil {
			return err
		}
		for i := range all {
			if b := &all[i]; b.SHA256 == e.SHA256 {
				s.latest = append(s.latest, fresh{b.Name, label(&b.Entry, false), b.Arch, b.Channels, line(b.Summary, maxSummary),
					b.SHA256, time.Unix(p.added, 0).UTC(), buildLink(all, b)})
			}
		}
	}
	return nil
}

// buildsOf returns all builds of a package: those of the default channel first,
// of a channel the newest first.
func (s *state) buildsOf(name string) ([]build, error) {
	var found []build
	at := map[string]int{}
	for _, shelf := range s.shelves {
		first, end := shelf.named(name)
		for n := first; n < end; n++ {
			e, err := shelf.Entry(n)
			if err != nil {
				return nil, err
			}
			if i, ok := at[e.SHA256]; ok {
				if !slices.Contains(found[i].Channels, shelf.Channel) {
					found[i].Channels = append(found[i].Channels, shelf.Channel)
				}
				continue
			}
			at[e.SHA256] = len(found)
			found = append(found, build{e, []string{shelf.Channel}})
		}
	}
	versions := map[string]version.Version{}
	for i := range found {
		v, err := found[i].EVR()
		if err != nil {
			return nil, err
		}
		versions[found[i].SHA256] = v
	}
	slices.SortFunc(found, func(a, b build) int {
		return cmp.Or(compareChannels(a.Channels[0], b.Channels[0]), -versions[a.SHA256].Compare(versions[b.SHA256]),
			cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.SHA256, b.SHA256))
	})
	return found, nil
}

// summary is what the newest build of a package says of itself.
func (s *state) summary(name string) (string, error) {
	for _, shelf := range s.shelves {
		if first, end := shelf.named(name); end > first {
			e, err := shelf.Entry(end - 1)
			return line(e.Summary, maxSummary), err
		}
	}
	return "", nil
}

// channels lists the channels, the default one first.
func (s *state) channels() (names []string) {
	for _, shelf := range s.shelves {
		if !slices.Contains(names, shelf.Channel) {
			names = append(names, shelf.Channel)
		}
	}
	return names
}

func (s *state) arches() (names []string) {
	for _, shelf := range s.shelves {
		if !slices.Contains(names, shelf.Arch) {
			names = append(names, shelf.Arch)
		}
	}
	slices.Sort(names)
	return names
}

// near returns the shelves that a system which follows a channel would look
// for the needs of a package of arch in.
func (s *state) near(channel, arch string) (found []*shelf) {
	for _, shelf := range s.shelves {
		if shelf.Channel == channel && (arch == noArch || shelf.Arch == noArch || shelf.Arch == arch) {
			found = append(found, shelf)
		}
	}
	return found
}

const noArch = "noarch"
