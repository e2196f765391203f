package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"
)

// oldOf finds the indexes of superseded packages of a verified state. They are
// fetched when somebody asks for one, which only those with a lock file do.
func (r *repository) oldOf(w *trust.Walk) ([]indexOf, error) {
	var all []indexOf
	for _, arch := range []string{r.client.opts.Arch, "noarch"} {
		name := repo.OldIndexTarget(r.config.Channel, arch)
		if w.Targets().Targets[name] == nil {
			continue
		}
		_, length, sum, err := w.Target(name)
		if err != nil {
			return nil, err
		}
		all = append(all, indexOf{arch, object{sum, length}})
	}
	return all, nil
}

// Superseded finds the build of a package that manifest, a SHA-256, names among
// those that repositories do not offer any more but still have. It is nil if
// there is none. The error is for a repository that could not be asked.
func (c *Client) Superseded(ctx context.Context, name, manifest string) (*Entry, error) {
	var failures []error
	for _, o := range c.offers() {
		for _, old := range o.old {
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			e, err := o.superseded(ctx, old, name, manifest)
			if err != nil {
				failures = append(failures, fmt.Errorf("repository %s: superseded packages: %w", o.repository.config.Name, err))
			}
			if e != nil {
				return e, nil
			}
		}
	}
	return nil, errors.Join(failures...)
}

func (o *offer) superseded(ctx context.Context, old indexOf, name, manifest string) (*Entry, error) {
	r := o.repository
	data, err := r.oldIndex(ctx, old)
	if err != nil {
		return nil, err
	}
	header, err := index.ReadHeader(data)
	if err == nil && (header.Channel != r.config.Channel || header.Arch != old.arch) {
		err = fmt.Errorf("the index says that it is of %.40q.%.40q", header.Channel, header.Arch)
	}
	var entries []index.Entry
	if err == nil {
		entries, err = index.Lookup(data, name)
	}
	if err != nil {
		return nil, fault.Mark(&tuf.Refusal{Kind: tuf.Lying, Err: err}, fault.Security, "")
	}
	for _, e := range entries {
		if e.Manifest == manifest {
			found := r.entry(e)
			return &found, nil
		}
	}
	return nil, nil
}

// oldIndex returns an index of superseded packages from the cache or a mirror.
func (r *repository) oldIndex(ctx context.Context, old indexOf) ([]byte, error) {
	if old.length > maxIndex {
		return nil, tuf.Refuse(tuf.Unbounded, "the index of superseded packages is said to have %d bytes; at most %d are allowed", old.length, maxIndex)
	}
	if data, err := r.cached(old.object); err == nil {
		return data, nil
	}
	mirrors := r.goodFirst()
	name := repo.OldIndexTarget(r.config.Channel, old.arch)
	if len(mirrors) == 0 {
		return nil, fault.Mark(fmt.Errorf("%s is not in the cache", name), fault.Network, "leave out --offline")
	}
	data, err := r.fetchObject(ctx, mirrors[0], name, transport.Object{Path: repo.TargetPath(name, old.sum), Size: old.length, SHA256: old.sum})
	if err != nil {
		return nil, err
	}
	cached := r.objectPath(old.sum)
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err != nil {
		return nil, err
	}
	return data, durable.WriteFile(cached, data, 0o644)
}
