package repo

import (
	"fmt"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
	"ashlar/repo/index"
)

// spec names packages of a channel: NAME for all versions of it, NAME@VERSION
// for one (with or without its release), or the whole of name-version-release.arch.
type spec struct {
	text, name, version string
}

func parseSpec(text string) spec {
	name, v, _ := strings.Cut(text, "@")
	return spec{text, name, v}
}

// means reports whether a package is one of those named.
func (s *spec) means(e *index.Entry) bool {
	if s.version == "" && s.text == e.ID() {
		return true
	}
	if s.name != e.Name {
		return false
	}
	epoch := ""
	if e.Epoch != 0 {
		epoch = fmt.Sprintf("%d:", e.Epoch)
	}
	whole := fmt.Sprintf("%s%s-%d", epoch, e.Version, e.Release)
	return s.version == "" || s.version == epoch+e.Version || s.version == whole
}

// pick returns the entries that specs name, each once. Every spec must name one.
func pick(entries []index.Entry, specs []string, channel string) ([]index.Entry, error) {
	var all []index.Entry
	taken := map[string]bool{}
	for _, text := range specs {
		s := parseSpec(text)
		found := false
		for i := range entries {
			if !s.means(&entries[i]) {
				continue
			}
			found = true
			if key := entries[i].Path; !taken[key] {
				taken[key] = true
				all = append(all, entries[i])
			}
		}
		if !found {
			return nil, fault.Mark(fmt.Errorf("channel %s has no package %.100q", channel, text), fault.Usage,
				"name packages as NAME or NAME@VERSION; repo list shows them")
		}
	}
	return all, nil
}

// newest returns of each name and arch the package with the highest version.
func newest(entries []index.Entry) (map[string]index.Entry, error) {
	best := map[string]index.Entry{}
	versions := map[string]version.Version{}
	for _, e := range entries {
		v, err := e.EVR()
		if err != nil {
			return nil, err
		}
		key := e.Name + " " + e.Arch
		if _, there := best[key]; !there || v.Compare(versions[key]) > 0 {
			best[key], versions[key] = e, v
		}
	}
	return best, nil
}
