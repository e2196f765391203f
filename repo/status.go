package repo

import (
	"errors"
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Status describes a repository to the one who looks after it.
type Status struct {
	Name         string          `json:"name"`
	Development  bool            `json:"development,omitempty"`
	Published    time.Time       `json:"published,omitzero"` // zero: never
	Roles        []RoleStatus    `json:"roles"`
	Channels     []ChannelStatus `json:"channels"`
	Pending      int             `json:"pending"` // changes that wait for Publish
	Stages       []StageStatus   `json:"stages,omitempty"`
	Locks        []string        `json:"locks,omitempty"`
	Pool         SizeStatus      `json:"pool"`
	Metadata     SizeStatus      `json:"metadata"`               // metadata and indexes
	Publications []int64         `json:"publications,omitempty"` // versions that the history knows, the newest last
	// Problems is what makes clients refuse the repository now; Warnings is what
	// will unless somebody does something.
	Problems []string `json:"problems"`
	Warnings []string `json:"warnings"`
}

// RoleStatus is the metadata of a role.
type RoleStatus struct {
	Role    string    `json:"role"`
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
}

// ChannelStatus is what a channel lists for an arch.
type ChannelStatus struct {
	Channel    string `json:"channel"`
	Arch       string `json:"arch"`
	Packages   int    `json:"packages"`
	Superseded int    `json:"superseded"` // that lock files find
	Pending    int    `json:"pending"`    // changes that wait for Publish
}

// StageStatus is a set of packages in the making.
type StageStatus struct {
	Name     string   `json:"name"`
	Packages int      `json:"packages"`
	Missing  []string `json:"missing,omitempty"`
}

// SizeStatus is what files take.
type SizeStatus struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Status verifies the metadata, not the packages (that is Check), and says how
// things are. The error is for what kept it from finding out; a repository that
// is damaged has problems.
func (r *Repository) Status() (*Status, error) {
	s := &Status{Name: r.Name(), Development: r.config.Development, Roles: []RoleStatus{}, Channels: []ChannelStatus{}, Problems: []string{}, Warnings: []string{}}
	if err := errors.Join(s.sizes(r), s.stages(r), s.history(r)); err != nil {
		return nil, err
	}
	v, err := r.view()
	if err != nil {
		s.Problems = append(s.Problems, err.Error())
		return s, nil
	}
	s.Pending = len(v.changes)
	s.roles(r, v.published)
	for _, target := range v.indexes() {
		channel, arch, _ := parseIndexTarget(target)
		s.Channels = append(s.Channels, ChannelStatus{channel, arch, v.published.packages(target), v.published.packages(oldOf(target)), len(v.changes.of(target))})
		if !v.published.has(target) {
			continue
		}
		if _, err := v.shelf(target); err != nil {
			s.Problems = append(s.Problems, fmt.Sprintf("%s: %v", target, err))
		}
	}
	return s, nil
}

// roles tells when metadata expires, and warns when Publish should have renewed it.
func (s *Status) roles(r *Repository, p *state) {
	if p.timestamp == nil {
		s.Problems = append(s.Problems, "nothing has been published yet")
		return
	}
	if p.behind {
		s.Problems = append(s.Problems, "a publisher was killed while keys changed: run pkgtool repo publish")
	}
	s.Warnings = append(s.Warnings, r.waiting()...)
	s.Published = publishedAt(&p.timestamp.Signed)
	now := r.now()
	for _, role := range []struct {
		name    string
		version int64
		expires time.Time
		days    int
	}{
		{metadata.ROOT, p.root.Signed.Version, p.root.Signed.Expires, r.config.Lifetimes.Root},
		{metadata.TARGETS, p.targets.Signed.Version, p.targets.Signed.Expires, r.config.Lifetimes.Targets},
		{metadata.SNAPSHOT, p.snapshot.Signed.Version, p.snapshot.Signed.Expires, r.config.Lifetimes.Snapshot},
		{metadata.TIMESTAMP, p.timestamp.Signed.Version, p.timestamp.Signed.Expires, r.config.Lifetimes.Timestamp},
	} {
		s.Roles = append(s.Roles, RoleStatus{role.name, role.version, role.expires})
		left := role.expires.Sub(now)
		switch day := role.expires.Format(time.DateOnly); {
		case left < 0:
			s.Problems = append(s.Problems, fmt.Sprintf("%s metadata expired on %s: clients refuse the repository until it is published again", role.name, day))
		case left < lifetime(role.days)/4:
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s metadata expires on %s and has not been renewed: run pkgtool repo publish", role.name, day))
		}
	}
}

func (s *Status) sizes(r *Repository) (err error) {
	if s.Pool.Files, s.Pool.Bytes, err = sizeOf(r.path(poolDir)); err != nil {
		return err
	}
	for _, folder := range served {
		if folder == poolDir {
			continue
		}
		files, size, err := sizeOf(r.path(folder))
		if err != nil {
			return err
		}
		s.Metadata.Files, s.Metadata.Bytes = s.Metadata.Files+files, s.Metadata.Bytes+size
	}
	return nil
}

func (s *Status) stages(r *Repository) error {
	all, err := r.Stages()
	if err != nil {
		return err
	}
	for _, stage := range all {
		s.Stages = append(s.Stages, StageStatus{stage.Name, len(stage.Packages), stage.Missing()})
	}
	return r.eachLock(func(name string, _ []locked) error {
		s.Locks = append(s.Locks, name)
		return nil
	})
}

func (s *Status) history(r *Repository) error {
	all, err := r.readHistory()
	for _, line := range all[max(0, len(all)-10):] {
		s.Publications = append(s.Publications, line.Timestamp)
	}
	return err
}
