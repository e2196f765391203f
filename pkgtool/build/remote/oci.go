package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	oras "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Media types of an entry's manifest and its layers.
const (
	artifactType = "application/vnd.ashlar.build.result.v1"
	entryType    = artifactType + "+json"
	packageType  = "application/vnd.ashlar.package.v1"
)

// tagPrefix begins the tag of an entry's manifest, which lists the packages as
// layers, so that the registry's garbage collection keeps them.
const tagPrefix = "result-"

// imageRegistry is a store in a repository of an OCI registry.
type imageRegistry struct {
	url    string
	remote *oras.Repository
}

var repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

func openRegistry(u *url.URL) (Store, error) {
	name := strings.Trim(u.Path, "/")
	if u.User != nil {
		return nil, fault.Mark(fmt.Errorf("build cache %s: a password has no place in the url of a registry", u.Redacted()), fault.Usage,
			"keep it where `docker login` does: in $DOCKER_CONFIG or ~/.docker/config.json")
	}
	if u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(name) > 255 || !repositoryName.MatchString(name) {
		return nil, fault.Errorf(fault.Usage, "build cache %.200q: a registry's url is oci://host[:port]/name, the name in lower case", u.Redacted())
	}
	client := &auth.Client{Client: newClient(), Cache: auth.NewCache()}
	client.SetUserAgent("pkgtool")
	if store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{}); err == nil {
		client.Credential = credentials.Credential(store)
	}
	return &imageRegistry{u.String(), &oras.Repository{
		Client: client, Reference: registry.Reference{Registry: u.Host, Repository: name},
		PlainHTTP: u.Scheme == "oci+http", MaxMetadataBytes: 2 * MaxEntry,
	}}, nil
}

func (r *imageRegistry) String() string { return r.url }

// explain names the place and what was done, and classes the error.
func (r *imageRegistry) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errdef.ErrNotFound) {
		return &fs.PathError{Op: doing, Path: r.url, Err: fs.ErrNotExist}
	}
	hint := ""
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) || errors.Is(err, auth.ErrBasicCredentialNotFound) {
		hint = "sign on with docker login; credentials are read from $DOCKER_CONFIG or ~/.docker/config.json"
	}
	return fault.Mark(fmt.Errorf("%s: %s: %w", r.url, doing, err), fault.Network, hint)
}

func (b Blob) descriptor(mediaType string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.NewDigestFromEncoded(digest.SHA256, b.SHA256), Size: b.Size}
}

func (r *imageRegistry) Entry(ctx context.Context, key string) ([]byte, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	_, body, err := r.remote.Manifests().FetchReference(ctx, tagPrefix+key)
	if err != nil {
		return nil, r.explain("read entry "+key, err)
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, 2*MaxEntry))
	if err != nil {
		return nil, r.explain("read entry "+key, err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil || m.ArtifactType != artifactType || len(m.Layers) == 0 || m.Layers[0].MediaType != entryType {
		return nil, fault.Errorf(fault.Security, "%s: the manifest %s%s is no entry of a build cache", r.url, tagPrefix, key)
	}
	d := m.Layers[0]
	if d.Size > MaxEntry || d.Digest.Algorithm() != digest.SHA256 || d.Digest.Validate() != nil {
		return nil, fault.Errorf(fault.Security, "%s: the manifest %s%s is no entry of a build cache", r.url, tagPrefix, key)
	}
	if len(d.Data) > 0 {
		return d.Data, nil // unverified, as the rest
	}
	var entry bytes.Buffer
	err = Fetch(ctx, r, Blob{d.Digest.Encoded(), d.Size}, &entry)
	return entry.Bytes(), err
}

// PutEntry puts the entry as a blob and, in a manifest under the key's tag,
// again: one request gets it.
func (r *imageRegistry) PutEntry(ctx context.Context, key string, entry []byte, blobs []Blob) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	own := Blob{digest.FromBytes(entry).Encoded(), int64(len(entry))}
	empty := ocispec.DescriptorEmptyJSON
	for b, content := range map[Blob][]byte{own: entry, {empty.Digest.Encoded(), empty.Size}: empty.Data} {
		err := r.Put(ctx, b, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			return err
		}
	}
	first := own.descriptor(entryType)
	first.Data = entry
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: empty, Layers: []ocispec.Descriptor{first},
	}
	for _, b := range blobs {
		m.Layers = append(m.Layers, b.descriptor(packageType))
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return r.explain("put entry "+key, r.remote.Manifests().PushReference(ctx, d, bytes.NewReader(raw), tagPrefix+key))
}

func (r *imageRegistry) Open(ctx context.Context, b Blob) (io.ReadCloser, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing came for %v", stall)) })
	body, err := r.remote.Blobs().Fetch(ctx, b.descriptor(packageType))
	watch.Stop()
	if err != nil {
		cancel(nil)
		return nil, r.explain("read blob "+b.SHA256, err)
	}
	return &watched{body, watch, cancel}, nil
}

func (r *imageRegistry) Has(ctx context.Context, b Blob) (bool, error) {
	if err := b.check(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	has, err := r.remote.Blobs().Exists(ctx, b.descriptor(packageType))
	return has, r.explain("look for blob "+b.SHA256, err)
}

func (r *imageRegistry) Put(ctx context.Context, b Blob, open func() (io.ReadCloser, error)) error {
	if has, err := r.Has(ctx, b); err != nil || has {
		return err
	}
	content, err := open()
	if err != nil {
		return err
	}
	defer content.Close()
	err = r.remote.Blobs().Push(ctx, b.descriptor(packageType), content)
	if errors.Is(err, errdef.ErrAlreadyExists) {
		return nil
	}
	return r.explain("put blob "+b.SHA256, err)
}

// Entries implements Lister.
func (r *imageRegistry) Entries(ctx context.Context, yield func(key string) error) error {
	err := r.remote.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if key, ok := strings.CutPrefix(tag, tagPrefix); ok && CheckKey(key) == nil {
				if err := yield(key); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if errors.Is(err, errdef.ErrNotFound) {
		return nil // nothing was ever put there
	}
	return r.explain("list entries", err)
}
