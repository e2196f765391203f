// Package fault classifies errors for the command line: which exit code an
// error means and what the user can do about it.
//
// Library code returns ordinary errors wrapped with %w and marks one with
// [Mark] only where the class or the remedy is known. The command line asks
// [ClassOf] and [Hints] when it prints; nothing else may depend on them.
package fault

import (
	"errors"
	"fmt"
)

// Class is the kind of a failure. Its number is the process's exit code.
type Class int

// The documented exit codes of pkgtool.
const (
	Failed       Class = 1   // anything without a class of its own
	Usage        Class = 2   // the command line or an input file is wrong
	Unsolvable   Class = 3   // no set of packages satisfies the request
	Security     Class = 4   // a signature, checksum or policy refused the input
	Network      Class = 5   // no source or mirror gave an answer
	HeldBack     Class = 6   // done, but some packages could not be brought up to date
	RebootNeeded Class = 7   // done, and effective after the next boot
	Stale        Class = 8   // what a repository offers has expired, or a mirror hides newer
	Interrupted  Class = 130 // ended by Ctrl-C or SIGTERM, as shells number it
)

type marked struct {
	error
	class Class
	hint  string
}

func (m *marked) Unwrap() error { return m.error }

// Mark gives err a class and, when hint is not empty, a remedy in one
// sentence. A nil err stays nil.
func Mark(err error, class Class, hint string) error {
	if err == nil {
		return nil
	}
	return &marked{err, class, hint}
}

// Errorf is Mark around fmt.Errorf without a hint.
func Errorf(class Class, format string, args ...any) error {
	return Mark(fmt.Errorf(format, args...), class, "")
}

// ClassOf returns the class of the outermost marked error in err's chain that
// has one, or Failed.
func ClassOf(err error) Class {
	var m *marked
	if errors.As(err, &m) && m.class != 0 {
		return m.class
	}
	return Failed
}

// Hints returns the remedies found in err's tree, outermost first, without
// duplicates.
func Hints(err error) []string {
	var hints []string
	seen := map[string]bool{}
	var walk func(error)
	walk = func(e error) {
		if e == nil {
			return
		}
		if m, ok := e.(*marked); ok && m.hint != "" && !seen[m.hint] {
			seen[m.hint] = true
			hints = append(hints, m.hint)
		}
		switch u := e.(type) {
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range u.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	return hints
}
