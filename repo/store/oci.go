package store

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"ashlar/repo/oci"
	"ashlar/repo/transport"

	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

// Registry is a store in an OCI registry (docs/formats/oci.md). A file that is
// put is uploaded at once, and listed for others by the next Sync: first in the
// manifests of packages, then in that of the repository.
type Registry struct {
	source *transport.Registry
	remote *remote.Repository
	limits transport.Limits

	mu    sync.Mutex // over all that follows
	lists map[string]*list
	sync  sync.Mutex // one Sync at a time
}

// list is what a manifest lists, as it was fetched and with what changed since.
type list struct {
	files   map[string]oci.File
	sum     string // of the manifest that the registry has; empty: none
	changed bool
}

// uploadLimits allow for registries that hand each file on to slow storage.
var uploadLimits = transport.Limits{Stall: 2 * time.Minute}.OrDefault()

// openRegistry opens the store at oci://host[:port]/name.
func openRegistry(_ context.Context, u *url.URL) (Store, error) {
	place, err := oci.PlaceOf(u)
	if err != nil {
		return nil, err
	}
	client := transport.RegistryClient(transport.NewHTTPClient(uploadLimits))
	source, err := transport.NewRegistry(place, client)
	if err != nil {
		return nil, err
	}
	return &Registry{
		source: source,
		remote: &remote.Repository{
			Client:           client,
			Reference:        registry.Reference{Registry: place.Host, Repository: place.Name},
			PlainHTTP:        place.Plain,
			MaxMetadataBytes: oci.MaxManifest,
		},
		limits: uploadLimits,
		lists:  map[string]*list{},
	}, nil
}

func (r *Registry) String() string { return r.source.String() }

// Close implements Store.
func (r *Registry) Close() error { return nil }

// load returns the list under a tag, fetched once. The caller holds r.mu.
func (r *Registry) load(ctx context.Context, tag string) (*list, error) {
	if l := r.lists[tag]; l != nil {
		return l, nil
	}
	l := &list{}
	err := r.try(ctx, func(ctx context.Context, _ *transport.Watch) (err error) {
		l.files, l.sum, err = r.source.Manifest(ctx, tag)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: read manifest %s: %w", r, tag, err)
	}
	r.lists[tag] = l
	return l, nil
}

// find returns what is listed under a path.
func (r *Registry) find(ctx context.Context, path string) (oci.File, error) {
	if err := CheckPath(path); err != nil {
		return oci.File{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l, err := r.load(ctx, oci.TagOf(path))
	if err != nil {
		return oci.File{}, err
	}
	f, ok := l.files[path]
	if !ok {
		return f, &fs.PathError{Op: "find", Path: path, Err: fs.ErrNotExist}
	}
	return f, nil
}

// Get implements transport.Source.
func (r *Registry) Get(ctx context.Context, path string, offset int64) (*transport.Answer, error) {
	f, err := r.find(ctx, path)
	if err != nil {
		return nil, err
	}
	return r.source.Blob(ctx, f.SHA256, offset)
}

// Span implements transport.Source.
func (r *Registry) Span(ctx context.Context, path string, first, end, size int64) (*transport.Answer, error) {
	f, err := r.find(ctx, path)
	if err != nil {
		return nil, err
	}
	return r.source.BlobSpan(ctx, f.SHA256, first, end, size)
}

// Stat implements Store.
func (r *Registry) Stat(ctx context.Context, path string) (int64, error) {
	f, err := r.find(ctx, path)
	return f.Size, err
}

// List implements Store.
func (r *Registry) List(ctx context.Context, folder string, yield func(File) error) error {
	tags := []string{oci.RepositoryTag}
	if folder == "" || folder == "pool" || strings.HasPrefix(folder, "pool/") {
		for shard := range oci.Shards {
			tags = append(tags, oci.ShardTag(shard))
		}
	}
	for _, tag := range tags {
		files, err := r.below(ctx, tag, folder)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := yield(File{f.Path, f.Size, f.Modified}); err != nil {
				return err
			}
		}
	}
	return nil
}

// below lists what a manifest has in a folder.
func (r *Registry) below(ctx context.Context, tag, folder string) ([]oci.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, err := r.load(ctx, tag)
	if err != nil {
		return nil, err
	}
	var found []oci.File
	for _, path := range slices.Sorted(maps.Keys(l.files)) {
		if folder == "" || strings.HasPrefix(path, folder+"/") {
			found = append(found, l.files[path])
		}
	}
	return found, nil
}

// Remove implements Store. The registry's own garbage collection frees the
// space.
func (r *Registry) Remove(ctx context.Context, path string) error {
	return r.change(ctx, path, func(files map[string]oci.File) bool {
		_, there := files[path]
		delete(files, path)
		return there
	})
}

// change edits the list that has a path, or would have it.
func (r *Registry) change(ctx context.Context, path string, edit func(files map[string]oci.File) bool) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l, err := r.load(ctx, oci.TagOf(path))
	if err == nil && edit(l.files) {
		l.changed = true
	}
	return err
}

// Switch implements Store.
func (r *Registry) Switch(ctx context.Context, path string, data []byte) error {
	if err := r.Sync(ctx); err != nil {
		return err
	}
	if err := r.PutBytes(ctx, path, data); err != nil {
		return err
	}
	return r.Sync(ctx)
}

// manifestsAtOnce is how many manifests are put at a time.
const manifestsAtOnce = 4

// Sync implements Store: it puts the manifests that changed, that of the
// repository last.
func (r *Registry) Sync(ctx context.Context) error {
	r.sync.Lock()
	defer r.sync.Unlock()
	r.mu.Lock()
	var shards []string
	repository := false
	for tag, l := range r.lists {
		if l.changed && tag == oci.RepositoryTag {
			repository = true
		} else if l.changed {
			shards = append(shards, tag)
		}
	}
	r.mu.Unlock()
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(manifestsAtOnce)
	for _, tag := range shards {
		group.Go(func() error { return r.putList(within, tag) })
	}
	if err := group.Wait(); err != nil || !repository {
		return err
	}
	return r.putList(ctx, oci.RepositoryTag)
}
