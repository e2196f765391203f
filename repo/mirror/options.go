package mirror

import (
	"slices"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/transport"
)

// DefaultGrace is for how long a mirror keeps what it no longer shows, so that
// readers of an older state can finish.
const DefaultGrace = 30 * 24 * time.Hour

// Settings are kept with the mirror; a run that gives none has those of the run
// before.
type Settings struct {
	Channels []string      `json:"channels,omitempty"` // empty: all
	Arches   []string      `json:"arches,omitempty"`   // empty: all; packages of no arch come with any
	Grace    time.Duration `json:"grace,omitempty"`    // in nanoseconds; 0: DefaultGrace
}

// selects reports whether the mirror copies an index.
func (s Settings) selects(channel, arch string) bool {
	in := func(list []string, what string) bool { return len(list) == 0 || slices.Contains(list, what) }
	return in(s.Channels, channel) && (arch == "noarch" || in(s.Arches, arch))
}

func (s Settings) grace() time.Duration {
	if s.Grace <= 0 {
		return DefaultGrace
	}
	return s.Grace
}

// merged takes what is given and the rest from before.
func (s Settings) merged(before Settings) Settings {
	if len(s.Channels) == 0 {
		s.Channels = before.Channels
	}
	if len(s.Arches) == 0 {
		s.Arches = before.Arches
	}
	if s.Grace == 0 {
		s.Grace = before.Grace
	}
	slices.Sort(s.Channels)
	slices.Sort(s.Arches)
	s.Channels, s.Arches = slices.Compact(s.Channels), slices.Compact(s.Arches)
	return s
}

func (s Settings) validate() error {
	for _, c := range s.Channels {
		if _, _, ok := repo.ParseIndexTarget(repo.IndexTarget(c, "noarch")); !ok {
			return fault.Errorf(fault.Usage, "%.50q is not the name of a channel", c)
		}
	}
	for _, a := range s.Arches {
		if _, _, ok := repo.ParseIndexTarget(repo.IndexTarget(repo.DefaultChannel, a)); !ok {
			return fault.Errorf(fault.Usage, "%.50q is not the name of an arch", a)
		}
	}
	if s.Grace < 0 {
		return fault.Errorf(fault.Usage, "a grace period of %s is in the past", s.Grace)
	}
	return nil
}

// All as a channel or arch lifts a selection that an earlier run made.
const All = "all"

// lifted reports whether the only name is All.
func lifted(names []string) bool { return len(names) == 1 && names[0] == All }

// Options say how to run.
type Options struct {
	Settings
	// Root is root metadata that is trusted; Fingerprint is the sha256 of one, to
	// be found at the source. One of them is needed where the mirror does not
	// know yet whom to trust.
	Root        []byte
	Fingerprint string

	Jobs     int    // transfers at once; default 8
	Verify   bool   // read everything that is there already, and compare hashes
	DryRun   bool   // say what is missing, and change nothing
	Scratch  string // where what is arriving lies if the store has no such folder; must be given for those
	Limits   transport.Limits
	Now      func() time.Time // nil: time.Now
	Progress func(Progress)   // may be nil; called by one goroutine at a time
	Warn     func(error)      // what went wrong although the run goes on; may be nil
}

// Progress is how far a run is.
type Progress struct {
	Objects, TotalObjects int
	Bytes, TotalBytes     int64
}

// Result is what a run did, or would do.
type Result struct {
	Source       string    `json:"source"`  // that the state came from
	Changed      bool      `json:"changed"` // readers see another state than before
	Version      int64     `json:"version"` // of the timestamp metadata
	Published    time.Time `json:"published"`
	Expires      time.Time `json:"expires"`
	Objects      int       `json:"objects"`       // of the state
	Bytes        int64     `json:"bytes"`         // of the state
	Needed       int       `json:"needed"`        // objects that were not there
	NeededBytes  int64     `json:"needed_bytes"`  // bytes of them
	Fetched      int       `json:"fetched"`       // objects that were transferred
	FetchedBytes int64     `json:"fetched_bytes"` // bytes of objects that came from sources
	Damaged      []string  `json:"damaged"`       // what was there with other content
	Removed      int       `json:"removed"`       // objects removed after their grace period
	RemovedBytes int64     `json:"removed_bytes"`
	Strangers    []string  `json:"strangers"` // files that no run has brought; the first of them
	More         int       `json:"more_strangers,omitempty"`
}
