package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"

	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// maxRoles is how many delegated roles one lookup visits.
const maxRoles = 32

// escape makes a role or target name one part of a path.
func escape(name string) string { return url.QueryEscape(name) }

func (c *call) download(ctx context.Context) error {
	walk, err := c.refresh(ctx)
	if err != nil {
		return err
	}
	l, err := c.lookup(walk)
	if err != nil {
		return err
	}
	targets, err := transport.Open(c.targetURL, c.http)
	if err != nil {
		return err
	}
	for _, name := range c.targets {
		target, err := l.find(ctx, name)
		if err != nil {
			return err
		}
		file := filepath.Join(c.targetDir, escape(name))
		if have, err := os.ReadFile(file); err == nil && target.VerifyLengthHashes(have) == nil {
			continue
		}
		data, err := c.limits.ReadFile(ctx, targets, l.path(name, target), target.Length, target.Length)
		if err != nil {
			return err
		}
		if err := target.VerifyLengthHashes(data); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// lookup finds targets, also those of delegated roles.
type lookup struct {
	call   *call
	set    *trustedmetadata.TrustedMetadata
	source transport.Source
}

func (c *call) lookup(w *trust.Walk) (*lookup, error) {
	source, err := transport.Open(c.metadataURL, c.http)
	if err != nil {
		return nil, err
	}
	set, err := trustedmetadata.New(w.Got.Root)
	if err != nil {
		return nil, err
	}
	set.RefTime = w.Now
	if _, err := set.UpdateTimestamp(w.Got.Timestamp); err != nil {
		return nil, err
	}
	if _, err := set.UpdateSnapshot(w.Got.Snapshot, false); err != nil {
		return nil, err
	}
	_, err = set.UpdateTargets(w.Got.Targets)
	return &lookup{c, set, source}, err
}

// path is where a target's file is.
func (l *lookup) path(name string, target *metadata.TargetFiles) string {
	if !l.set.Root.Signed.ConsistentSnapshot {
		return name
	}
	sum := target.Hashes["sha256"]
	for _, other := range target.Hashes {
		if sum == nil {
			sum = other
		}
	}
	dir, base := path.Split(name)
	return dir + hex.EncodeToString(sum) + "." + base
}

// find searches the roles in the order of their delegation, depth first. A role
// is verified under whoever delegates to it on the way, each time.
func (l *lookup) find(ctx context.Context, name string) (*metadata.TargetFiles, error) {
	type step struct{ role, by string }
	todo := []step{{metadata.TARGETS, metadata.ROOT}}
	visited := map[string]bool{}
	for len(todo) > 0 && len(visited) <= maxRoles {
		next := todo[0]
		todo = todo[1:]
		if visited[next.role] {
			continue
		}
		visited[next.role] = true
		if err := l.load(ctx, next.role, next.by); err != nil {
			return nil, err
		}
		role := l.set.Targets[next.role].Signed
		if target := role.Targets[name]; target != nil {
			return target, nil
		}
		if role.Delegations == nil {
			continue
		}
		var children []step
		for _, child := range role.Delegations.GetRolesForTarget(name) {
			children = append(children, step{child.Name, next.role})
			if child.Terminating {
				todo = nil
				break
			}
		}
		todo = slices.Concat(children, todo)
	}
	return nil, fmt.Errorf("no role has target %q", name)
}

// load brings the metadata of a role, as the snapshot has it, kept or fetched.
func (l *lookup) load(ctx context.Context, role, by string) error {
	if role == metadata.TARGETS {
		return nil
	}
	meta := l.set.Snapshot.Signed.Meta[role+".json"]
	if meta == nil {
		return fmt.Errorf("the snapshot does not have role %q", role)
	}
	file := l.call.kept(role)
	if kept, err := os.ReadFile(file); err == nil && l.update(kept, role, by) == nil {
		return nil
	}
	limit, size := tuf.MaxSize[metadata.TARGETS], int64(-1)
	if meta.Length > 0 {
		limit, size = meta.Length, meta.Length
	}
	name := url.PathEscape(role) + ".json"
	if l.set.Root.Signed.ConsistentSnapshot {
		name = fmt.Sprintf("%d.%s", meta.Version, name)
	}
	data, err := l.call.limits.ReadFile(ctx, l.source, name, limit, size)
	if err != nil {
		return err
	}
	if err := l.update(data, role, by); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

func (l *lookup) update(data []byte, role, by string) error {
	if err := tuf.Check(metadata.TARGETS, data); err != nil {
		return err
	}
	_, err := l.set.UpdateDelegatedTargets(data, role, by)
	return err
}
