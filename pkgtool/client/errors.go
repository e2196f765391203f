package client

import (
	"errors"
	"fmt"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// MirrorError is what one mirror did wrong.
type MirrorError struct {
	Repository string
	Mirror     string // URL, without password
	File       string // path in the repository
	Kind       tuf.Kind
	Err        error
}

func (e *MirrorError) Error() string {
	return fmt.Sprintf("repository %s: %s: %s: %s: %v", e.Repository, e.Mirror, e.File, e.Kind, e.Err)
}

func (e *MirrorError) Unwrap() error { return e.Err }

// mirrorError gives err its place. An error without a kind means that no
// usable answer came.
func (r *repository) mirrorError(m transport.Source, file string, err error) *MirrorError {
	kind := tuf.KindOf(err)
	if kind == "" {
		kind = tuf.Unreachable
	}
	var refusal *tuf.Refusal
	if errors.As(err, &refusal) {
		err = refusal.Err
	}
	return &MirrorError{r.config.Name, m.String(), file, kind, errors.New(tuf.Printable(err.Error()))}
}

// allFailed is the error when no mirror did: all of their errors, of class
// Security if one of them lied or tampered, else Stale if one was, with the
// remedies for each kind.
func allFailed(failures []*MirrorError) error {
	if len(failures) == 0 {
		return nil
	}
	var lines []string
	worst := failures[0].Kind
	for _, f := range failures {
		lines = append(lines, f.Error())
		if class := f.Kind.Class(); class == fault.Security && worst.Class() != class || class == fault.Stale && worst.Class() == fault.Network {
			worst = f.Kind
		}
	}
	var err error = &refused{strings.Join(lines, "\n  "), failures}
	seen := map[tuf.Kind]bool{}
	for _, f := range failures {
		if !seen[f.Kind] {
			seen[f.Kind] = true
			err = fault.Mark(err, f.Kind.Class(), f.Kind.Hint())
		}
	}
	return fault.Mark(err, worst.Class(), worst.Hint())
}

// refused joins what all mirrors of a repository did wrong.
type refused struct {
	text     string
	failures []*MirrorError
}

func (r *refused) Error() string { return r.text }

func (r *refused) Unwrap() []error {
	var all []error
	for _, f := range r.failures {
		all = append(all, f)
	}
	return all
}
