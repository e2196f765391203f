package advisory

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"ashlar/pkgtool/version"

	"github.com/Masterminds/semver/v3"
)

// bound is a version in an advisory. One without a release means all builds of
// that version: "3.0.11" as a fix is reached by 3.0.11-1.
type bound struct {
	before  bool // "0": smaller than everything
	version version.Version
	release bool
}

func parseBound(text string) (bound, error) {
	if text == "0" {
		return bound{before: true}, nil
	}
	if v, err := version.Parse(text); err == nil {
		return bound{version: v, release: true}, nil
	}
	number, epoch := text, uint64(0)
	if before, after, found := strings.Cut(text, ":"); found {
		var err error
		if epoch, err = strconv.ParseUint(before, 10, 32); err != nil {
			return bound{}, fmt.Errorf("%.80q is no version: its epoch is not a number", text)
		}
		number = after
	}
	v, err := semver.StrictNewVersion(number)
	if err != nil {
		return bound{}, fmt.Errorf("%.80q is no version ([epoch:]1.2.3[-release])", text)
	}
	return bound{version: version.Version{Epoch: uint32(epoch), Semver: v}}, nil
}

// compare says how the bound stands to a build: -1 below, 0 at, 1 above.
func (b bound) compare(v version.Version) int {
	if b.before {
		return -1
	}
	if b.release {
		return b.version.Compare(v)
	}
	if c := cmp.Compare(b.version.Epoch, v.Epoch); c != 0 {
		return c
	}
	return b.version.Semver.Compare(v.Semver)
}

func (r Range) check() error {
	if r.Type != "ECOSYSTEM" && r.Type != "SEMVER" {
		return fmt.Errorf("range type %.40q is not ECOSYSTEM, SEMVER or GIT", r.Type)
	}
	introduced := false
	for _, e := range r.Events {
		set := 0
		for _, text := range []string{e.Introduced, e.Fixed, e.LastAffected, e.Limit} {
			if text == "" {
				continue
			}
			set++
			if _, err := parseBound(text); err != nil && !(text == "*" && e.Limit == text) {
				return err
			}
		}
		if set != 1 {
			return fmt.Errorf("an event has %d versions instead of one", set)
		}
		introduced = introduced || e.Introduced != ""
	}
	if !introduced {
		return fmt.Errorf("a range has no event that says where it was introduced")
	}
	return nil
}

// contains reports whether a build lies in the range, and where it ends. The
// events count by their versions, in whatever order they stand.
func (r Range) contains(v version.Version) (bool, string) {
	if r.Type == "GIT" {
		return false, ""
	}
	var start *bound
	for _, e := range r.Events {
		if b, err := parseBound(e.Introduced); e.Introduced != "" && err == nil && b.compare(v) <= 0 && (start == nil || start.below(b)) {
			start = &b
		}
	}
	if start == nil {
		return false, ""
	}
	end := ""
	var endBound bound
	for _, e := range r.Events {
		if b, err := parseBound(e.LastAffected); e.LastAffected != "" && err == nil && b.compare(v) < 0 && !b.below(*start) {
			return false, ""
		}
		b, err := parseBound(e.Fixed)
		if e.Fixed == "" || err != nil || b.below(*start) {
			continue
		}
		if b.compare(v) <= 0 {
			return false, ""
		}
		if end == "" || b.below(endBound) {
			end, endBound = e.Fixed, b
		}
	}
	return true, end
}

// below orders bounds among themselves; one without a release comes before the
// releases of its version.
func (b bound) below(o bound) bool {
	switch {
	case o.before:
		return false
	case b.before:
		return true
	}
	return b.version.Compare(o.version) < 0
}
