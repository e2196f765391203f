package tuf

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"ashlar/pkgtool/fault"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Kind is what is wrong with an answer of a mirror.
type Kind string

// The kinds that a user can tell apart and act on.
const (
	Tampered    Kind = "tampered"      // bytes differ from what was signed, or are no metadata at all
	Stale       Kind = "stale"         // correctly signed once, but expired
	Old         Kind = "old"           // correctly signed and good yet, but long ago
	RolledBack  Kind = "rolled back"   // older than what this machine has already seen
	Unsigned    Kind = "not signed"    // not enough signatures by keys that are trusted for it
	Lying       Kind = "lying"         // index and package disagree
	Unreachable Kind = "unreachable"   // no usable answer at all
	Unbounded   Kind = "out of bounds" // endless or larger than allowed

	Contradictory Kind = "contradictory" // two contents that were signed under one version
	Impostor      Kind = "impostor"      // a server without proof that it is the one of its URL
)

// Refusal is an error with its kind.
type Refusal struct {
	Kind Kind
	Err  error
}

func (r *Refusal) Error() string { return string(r.Kind) + ": " + r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(kind Kind, format string, args ...any) error {
	return &Refusal{kind, fmt.Errorf(format, args...)}
}

// Refuse makes a refusal.
func Refuse(kind Kind, format string, args ...any) error { return refuse(kind, format, args...) }

// KindOf returns the kind of the first refusal in err's tree; empty if none.
func KindOf(err error) Kind {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Kind
	}
	return ""
}

// Class is the exit class that a kind means.
func (k Kind) Class() fault.Class {
	switch k {
	case Unreachable:
		return fault.Network
	case Stale, Old:
		return fault.Stale
	}
	return fault.Security
}

// Hint is what a user can do about a kind.
func (k Kind) Hint() string {
	switch k {
	case Stale:
		return "the repository has not been published for too long, or a mirror hides newer metadata: " +
			"run `pkgtool repo publish` at its origin, or use another mirror; check this machine's clock with `date`"
	case Old:
		return "run `pkgtool repo publish` at the origin once a day, or use another mirror; how old is too old, warn_after in the repository's definition says"
	case Contradictory:
		return "use another mirror; tell the publisher, and show what is in /var/lib/pkgtool/repositories/NAME/evidence: somebody else may have a key of the repository"
	case Impostor:
		return "check the url, this machine's clock (`date`) and its certificate authorities; a mirror of another name or with plain http may serve until then, as all is signed"
	case RolledBack:
		return "use another mirror; if the repository was recreated on purpose, remove this machine's record of it (see docs/formats/repository.md)"
	case Unsigned:
		return "check that the pinned root belongs to this repository: `pkgtool repo trust` prints its fingerprint"
	case Tampered, Unbounded:
		return "use another mirror, and tell whoever runs this one"
	case Lying:
		return "the publisher's index is wrong: run `pkgtool repo check` at the origin"
	case Unreachable:
		return "check the network and the urls of the repository"
	}
	return ""
}

// Translate gives an error of the go-tuf library its kind. Text of the mirror
// that the library quotes is made harmless for terminals.
func Translate(err error) error {
	if err == nil {
		return nil
	}
	kind := Tampered
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		kind = Stale
	case errors.Is(err, &metadata.ErrUnsignedMetadata{}):
		kind = Unsigned
	case errors.Is(err, &metadata.ErrLengthOrHashMismatch{}):
		kind = Tampered
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		kind = RolledBack
	}
	return &Refusal{kind, errors.New(Printable(err.Error()))}
}

// Printable returns s with everything that a terminal might obey replaced, cut
// to a length that a message can bear.
func Printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() > 300 {
			b.WriteString("...")
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}
