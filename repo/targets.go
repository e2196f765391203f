package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/repo/advisory"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// custom is what targets metadata says about an index, or about the advisories,
// besides length and hash.
type custom struct {
	Packages   int   `json:"packages,omitempty"`
	Advisories int   `json:"advisories,omitempty"`
	Plain      int64 `json:"plain_length"` // length after decompression
}

// writeTargets writes the objects of the state to come, all named by hash, and
// returns what targets metadata will say about them.
func (r *Repository) writeTargets(ctx context.Context, old *state) (map[string]*metadata.TargetFiles, int, error) {
	targets := map[string]*metadata.TargetFiles{}
	packages := 0
	if old.targets != nil {
		maps.Copy(targets, old.targets.Signed.Targets)
	}
	kr, err := r.keyring()
	if err != nil {
		return nil, 0, err
	}
	if targets[KeyringTarget], err = r.writeTarget(KeyringTarget, kr.Armored(), nil); err != nil {
		return nil, 0, err
	}
	if err := r.writeAdvisories(targets); err != nil {
		return nil, 0, err
	}
	pending, err := r.pendingIndexes()
	if err != nil {
		return nil, 0, err
	}
	for _, name := range pending {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		data, header, _, err := r.pendingIndex(name)
		if err != nil {
			return nil, 0, err
		}
		if targets[name], err = r.writeTarget(name, data, &custom{Packages: header.Packages, Plain: header.Plain}); err != nil {
			return nil, 0, err
		}
	}
	for _, t := range targets {
		var c custom
		if t.Custom != nil && json.Unmarshal(*t.Custom, &c) == nil {
			packages += c.Packages
		}
	}
	return targets, packages, nil
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
