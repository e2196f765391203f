package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// custom is what targets metadata says about an index besides length and hash.
type custom struct {
	Packages int   `json:"packages"`
	Plain    int64 `json:"plain_length"` // length after decompression
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
		if targets[name], err = r.writeTarget(name, data, &custom{header.Packages, header.Plain}); err != nil {
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
