package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"ashlar/pkgtool/durable"
	"ashlar/repo/advisory"
	"ashlar/repo/index"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// custom is what targets metadata says about an index, or about the advisories,
// besides length and hash.
type custom struct {
	Packages   int   `json:"packages,omitempty"`
	Advisories int   `json:"advisories,omitempty"`
	Plain      int64 `json:"plain_length"` // length after decompression
}

// customOf reads it; zero where there is none.
func customOf(t *metadata.TargetFiles) (c custom) {
	if t != nil && t.Custom != nil {
		if json.Unmarshal(*t.Custom, &c) != nil {
			return custom{}
		}
	}
	return c
}

// writing makes the objects of the state to come, all named by hash.
type writing struct {
	*view
	superseding *superseding
	targets     map[string]*metadata.TargetFiles
}

// writeTargets writes the objects of the state to come. Its targets are what
// targets metadata will say about them.
func (v *view) writeTargets(ctx context.Context) (*writing, error) {
	s, err := v.superseding()
	if err != nil {
		return nil, err
	}
	w := &writing{v, s, map[string]*metadata.TargetFiles{}}
	if v.published.targets != nil {
		maps.Copy(w.targets, v.published.targets.Signed.Targets)
	}
	kr, err := v.repository.keyring()
	if err != nil {
		return nil, err
	}
	if w.targets[KeyringTarget], err = v.repository.writeTarget(KeyringTarget, kr.Armored(), nil); err != nil {
		return nil, err
	}
	if err := v.repository.writeAdvisories(w.targets); err != nil {
		return nil, err
	}
	for _, name := range v.indexes() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := w.index(name); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// index writes an index that changes, and that of its superseded packages.
func (w *writing) index(name string) error {
	channel, arch, _ := parseIndexTarget(name)
	var edits []edit
	var left, came []index.Entry
	for _, c := range w.changes.of(name) {
		e := c.entry()
		listed, err := w.listed(name, e.Name, e.ID())
		if err != nil {
			return err
		}
		if listed != nil && (c.Add == nil || c.Add.SHA256 != listed.SHA256) {
			left = append(left, *listed)
		}
		if c.Add != nil && (listed == nil || !sameEntry(listed, c.Add)) {
			edits, came = append(edits, edit{add: c.Add}), append(came, *c.Add)
		}
		if c.Remove != nil && listed != nil {
			edits = append(edits, edit{remove: listed})
		}
	}
	if err := w.edit(name, channel, arch, edits); err != nil {
		return err
	}
	edits, err := w.superseding.edits(name, left, came)
	if err != nil {
		return err
	}
	return w.edit(oldOf(name), channel, arch, edits)
}

// edit writes the next version of an index. One that a channel gets for its
// first packages is there from then on.
func (w *writing) edit(name, channel, arch string, edits []edit) error {
	if len(edits) == 0 {
		return nil
	}
	shelf, err := w.shelf(name)
	if err != nil {
		return err
	}
	data, c, err := editIndex(shelf.data, channel, arch, edits)
	if err != nil {
		return err
	}
	w.targets[name], err = w.repository.writeTarget(name, data, c)
	return err
}

// packages is how many packages the state to come lists.
func (w *writing) packages() int {
	n := 0
	for name, t := range w.targets {
		if _, _, ok := parseIndexTarget(name); ok {
			n += customOf(t).Packages
		}
	}
	return n
}

// writeAdvisories adds the target of the advisories, if there ever was one.
func (r *Repository) writeAdvisories(targets map[string]*metadata.TargetFiles) error {
	all, err := r.Advisories()
	if err != nil || len(all) == 0 && targets[AdvisoriesTarget] == nil {
		return err
	}
	data, plain, err := advisory.Encode(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.path(advisoriesDir), 0o755); err != nil {
		return err
	}
	targets[AdvisoriesTarget], err = r.writeTarget(AdvisoriesTarget, data, &custom{Advisories: len(all), Plain: plain})
	return err
}

func (r *Repository) writeTarget(name string, data []byte, c *custom) (*metadata.TargetFiles, error) {
	t, err := metadata.TargetFile().FromBytes(name, data, "sha256")
	if err != nil {
		return nil, err
	}
	if c != nil {
		raw, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		t.Custom = (*json.RawMessage)(&raw)
	}
	path, _, err := targetFile(name, t)
	if err != nil {
		return nil, err
	}
	full := r.path(filepath.FromSlash(path))
	if existing, err := os.ReadFile(full); err == nil && bytes.Equal(existing, data) {
		return t, nil
	}
	return t, durable.WriteFile(full, data, 0o644)
}

func sameTargets(a, b map[string]*metadata.TargetFiles) bool {
	return maps.EqualFunc(a, b, func(x, y *metadata.TargetFiles) bool { return x.Equal(*y) })
}

// targetNames lists the targets of a state, sorted.
func (s *state) targetNames() []string {
	if s.targets == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.targets.Signed.Targets))
}
