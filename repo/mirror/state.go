package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// state is one verified state of the origin, as far as a mirror copies it.
type state struct {
	walk     *trust.Walk
	indexes  []target
	others   []target // keyring, advisories and what later versions of the format add
	metadata []piece  // targets and snapshot, in the order in which they are written
}

// target is a file that targets metadata names.
type target struct {
	name string
	transport.Object
}

// piece is a file whose bytes are at hand.
type piece struct {
	path string
	data []byte
}

const maxIndex = 256 << 20

// stateOf lists what of a walk's result the settings select.
func stateOf(w *trust.Walk, s Settings) (*state, error) {
	st := &state{walk: w}
	var left []string
	for _, name := range slices.Sorted(maps.Keys(w.Targets().Targets)) {
		file, size, sum, err := w.Target(name)
		if err == nil {
			err = targetPath(name)
		}
		if err != nil {
			return nil, err
		}
		t := target{name, transport.Object{Path: file, Size: size, SHA256: sum}}
		channel, arch, isIndex := indexTarget(name)
		switch {
		case isIndex && !s.selects(channel, arch):
			left = append(left, channel+"."+arch)
		case isIndex && size > maxIndex:
			return nil, tuf.Refuse(tuf.Unbounded, "%s is said to have %d bytes; at most %d are allowed", name, size, maxIndex)
		case isIndex:
			st.indexes = append(st.indexes, t)
		default:
			st.others = append(st.others, t)
		}
	}
	if len(st.indexes) == 0 && len(left) > 0 {
		return nil, fault.Mark(fmt.Errorf("nothing is left of the repository with channels %v and arches %v", s.Channels, s.Arches), fault.Usage,
			"the repository has "+strings.Join(left, ", "))
	}
	st.metadata = []piece{
		{repo.MetadataPath(metadata.TARGETS, w.Targets().Version), w.Got.Targets},
		{repo.MetadataPath(metadata.SNAPSHOT, w.Snapshot().Version), w.Got.Snapshot},
	}
	return st, nil
}

// indexTarget takes the name of an index apart. There are two kinds: what a
// channel offers for an arch, and, with .old, what it offered before and the
// pool still has.
func indexTarget(name string) (channel, arch string, ok bool) {
	if current, old := strings.CutSuffix(name, ".old.zst"); old {
		name = current + ".zst"
	}
	return repo.ParseIndexTarget(name)
}

// targetPath refuses targets that would be where other files are.
func targetPath(name string) error {
	first, rest, _ := strings.Cut(name, "/")
	if store.CheckPath(name) != nil || rest == "" || first == "pool" || first == "metadata" || strings.HasPrefix(name, ".") ||
		strings.Contains(name, "/.") || path.Clean(name) != name {
		return tuf.Refuse(tuf.Lying, "target %.200q is no file that a repository can have", name)
	}
	return nil
}

// plan is what a state needs and what its lines name.
type plan struct {
	base  map[string]string           // the indexes that refs are of
	fixed map[string]bool             // files of the state that are no packages
	whole bool                        // refs counts everything; otherwise the difference to what was shown
	refs  map[string]int              // of packages, by path
	wants map[string]transport.Object // packages: all of them, or those that came with the difference
}

func newPlan(st *state, whole bool) *plan {
	p := &plan{map[string]string{}, map[string]bool{}, whole, map[string]int{}, map[string]transport.Object{}}
	for _, t := range st.indexes {
		p.base[t.name], p.fixed[t.Path] = t.SHA256, true
	}
	for _, t := range st.others {
		p.fixed[t.Path] = true
	}
	return p
}

// refsOf is how many lines of the state name an object that is held.
func (p *plan) refsOf(path string, o held) int {
	switch {
	case p.fixed[path]:
		return 1
	case !isPackage(path):
		return 0
	case p.whole:
		return p.refs[path]
	}
	return max(0, o.refs+p.refs[path])
}

// add notes that a line names an object.
func (p *plan) add(o transport.Object) error {
	if known, ok := p.wants[o.Path]; ok && known != o {
		return tuf.Refuse(tuf.Lying, "%s is named with two contents", o.Path)
	}
	p.wants[o.Path] = o
	p.refs[o.Path]++
	return nil
}

func (p *plan) drop(path string) { p.refs[path]-- }

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// failure says what a source did wrong: which one, with which file.
func failure(source fmt.Stringer, file string, err error) error {
	kind := tuf.KindOf(err)
	if kind == "" {
		kind = tuf.Unreachable
	}
	text := err.Error()
	var refusal *tuf.Refusal
	if errors.As(err, &refusal) {
		text = refusal.Err.Error()
	}
	return fault.Mark(&sourceError{fmt.Sprintf("%s: %s: %s: %s", source, file, kind, tuf.Printable(text)), err}, kind.Class(), kind.Hint())
}

// sourceError keeps its cause and tells it in words that are safe to print.
type sourceError struct {
	text  string
	cause error
}

func (e *sourceError) Error() string { return e.text }
func (e *sourceError) Unwrap() error { return e.cause }

// worst joins what several sources did wrong, under the gravest class.
func worst(failures []error) error {
	if len(failures) == 1 {
		return failures[0]
	}
	err := errors.Join(failures...)
	for _, grave := range []fault.Class{fault.Security, fault.Stale} {
		if slices.ContainsFunc(failures, func(f error) bool { return fault.ClassOf(f) == grave }) {
			return fault.Mark(err, grave, "")
		}
	}
	return err
}
