package web

import (
	"fmt"
	"strings"
	"time"
)

// standing is how well a repository is.
type standing string

const (
	good    standing = "ok"
	worry   standing = "warning" // clients are served; somebody should look
	refused standing = "refused" // by clients, because signatures expired, say
	broken  standing = "broken"  // nothing that can be shown was found
)

// health is what there is to say about the state of a repository. It is
// /health.json, for monitoring.
type health struct {
	Schema     int           `json:"schema"`
	Status     standing      `json:"status"`
	Repository string        `json:"repository,omitempty"`
	Published  time.Time     `json:"published,omitzero"` // when the timestamp was signed
	Age        int64         `json:"age_seconds"`        // since then
	Expires    time.Time     `json:"expires,omitzero"`   // the first role to expire does
	Left       int64         `json:"seconds_left"`       // until then; negative afterwards
	Root       string        `json:"root_sha256,omitempty"`
	Roles      []roleHealth  `json:"roles"`
	Indexes    []indexHealth `json:"indexes"`
	Packages   int           `json:"packages"` // names
	Builds     int           `json:"builds"`   // package files
	Bytes      int64         `json:"bytes"`    // of them
	Advisories int           `json:"advisories"`
	Packagers  []signer      `json:"packagers"`
	Problems   []string      `json:"problems"`
}

type roleHealth struct {
	Role      string    `json:"role"`
	Version   int64     `json:"version"`
	Expires   time.Time `json:"expires"`
	Keys      []string  `json:"keys"`
	Threshold int       `json:"threshold"`
	Soon      bool      `json:"expires_soon"`
	Expired   bool      `json:"expired"`
}

type indexHealth struct {
	Channel  string `json:"channel"`
	Arch     string `json:"arch"`
	Packages int    `json:"packages"` // builds
	Here     bool   `json:"here"`     // false: this mirror does not have it
}

// What each role is there for, and how long before its end its owner should act.
var duties = map[string]struct {
	duty string
	lead time.Duration
}{
	"root":      {"says which keys may sign", 60 * 24 * time.Hour},
	"targets":   {"says what the packages and the packagers' keys are", 30 * 24 * time.Hour},
	"snapshot":  {"says which version of everything belongs together", 14 * 24 * time.Hour},
	"timestamp": {"says what is newest", 3 * 24 * time.Hour},
}

// Duty is what a role is there for.
func (r roleHealth) Duty() string { return duties[r.Role].duty }

// health judges a state at now. failure is why a newer one, or any, could not be
// read; it may be nil, and so may the state.
func (s *state) health(now time.Time, failure error) *health {
	h := &health{Schema: 1, Status: good, Roles: []roleHealth{}, Indexes: []indexHealth{}, Packagers: []signer{}, Problems: []string{}}
	if failure != nil {
		h.Status = worry
		h.Problems = append(h.Problems, problemOf(failure))
	}
	if s == nil {
		h.Status = broken
		return h
	}
	h.Repository, h.Root, h.Published = line(s.Name, maxText), s.Root, s.Time
	h.Age = int64(now.Sub(s.Time) / time.Second)
	h.Packages, h.Builds, h.Bytes, h.Advisories = len(s.names), s.builds, s.bytes, len(s.advisories)
	for _, shelf := range s.shelves {
		h.Indexes = append(h.Indexes, indexHealth{shelf.Channel, shelf.Arch, shelf.Len(), true})
	}
	for _, i := range s.absent {
		h.Indexes = append(h.Indexes, indexHealth{Channel: i.Channel, Arch: i.Arch})
	}
	for _, key := range s.Packagers {
		h.Packagers = append(h.Packagers, signer{key.Fingerprint(), nameOf(key)})
	}
	if len(s.Roles) < len(duties) {
		h.Status, h.Age = broken, 0
		h.Problems = append(h.Problems, "nothing has been published yet")
		return h
	}
	h.judgeRoles(s, now)
	if s.Behind {
		h.Status = refused
		h.Problems = append(h.Problems, "publishing stopped after a new root: the rest is signed by the keys before")
	}
	h.judgeFiles(s)
	return h
}

func (h *health) judgeRoles(s *state, now time.Time) {
	for _, r := range s.Roles {
		one := roleHealth{Role: r.Name, Version: r.Version, Expires: r.Expires, Keys: r.Keys, Threshold: r.Threshold}
		left, lead := r.Expires.Sub(now), duties[r.Name].lead
		if r.Name == "timestamp" { // the one whose whole life is known, which may be short
			lead = min(lead, r.Expires.Sub(s.Time)/4)
		}
		one.Expired, one.Soon = left <= 0, left < lead
		switch {
		case one.Expired:
			h.Status = refused
			h.Problems = append(h.Problems, fmt.Sprintf("%s expired on %s", r.Name, moment(r.Expires)))
		case one.Soon:
			h.worry()
			h.Problems = append(h.Problems, fmt.Sprintf("%s expires on %s", r.Name, moment(r.Expires)))
		}
		if h.Expires.IsZero() || r.Expires.Before(h.Expires) {
			h.Expires, h.Left = r.Expires, int64(left/time.Second)
		}
		h.Roles = append(h.Roles, one)
	}
}

func (h *health) judgeFiles(s *state) {
	if n := len(s.missing); n > 0 {
		h.worry()
		h.Problems = append(h.Problems, fmt.Sprintf("%s missing or of the wrong length: %s", plural(int64(n), "package file"), strings.Join(s.missing[:min(n, 3)], ", ")))
	}
}

func (h *health) worry() {
	if h.Status == good {
		h.Status = worry
	}
}

// Served reports whether clients can use the repository.
func (h *health) Served() bool { return h.Status == good || h.Status == worry }

// InWords sums the state up in a sentence.
func (h *health) InWords() string {
	switch h.Status {
	case good:
		return "All is well: every signature is valid until " + moment(h.Expires) + "."
	case worry:
		return "Systems can use this repository, but somebody should look at it."
	case refused:
		return "Systems refuse this repository until it is published again: signatures have expired, or are by keys that do not count any more."
	}
	return "There is no published state to show."
}
