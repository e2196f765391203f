package transport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"sync"
	"time"

	"ashlar/repo/oci"
	"ashlar/repo/tuf"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// Registry is a source in an OCI registry (docs/formats/oci.md).
type Registry struct {
	place  oci.Place
	client *auth.Client
	blobs  *Server

	mu        sync.Mutex
	manifests map[string]*listing // by tag
}

// listing is a manifest as it was fetched. Its lock lets one caller fetch while
// others wait for the outcome.
type listing struct {
	mu    sync.Mutex
	files map[string]oci.File
	at    time.Time
}

// listingAge is for how long the absence of a file from a manifest is believed.
// A file that is listed never changes; only the timestamp does.
const listingAge = 10 * time.Second

// timestampFile is what every look at a repository begins with, and the one
// file whose content changes.
const timestampFile = "metadata/timestamp.json"

// NewRegistry returns the source at a place.
func NewRegistry(place oci.Place, client *auth.Client) (*Registry, error) {
	base, err := url.Parse(place.Blobs())
	if err != nil {
		return nil, err
	}
	return &Registry{place: place, client: client, blobs: &Server{base: base, client: &http.Client{Transport: signedOn{client}}}, manifests: map[string]*listing{}}, nil
}

// signedOn lets a client for registries send the requests of a Server. It also
// follows redirects, and keeps credentials from going along.
type signedOn struct{ *auth.Client }

// RoundTrip implements http.RoundTripper.
func (s signedOn) RoundTrip(req *http.Request) (*http.Response, error) { return s.Do(req) }

// RegistryClient signs on to registries with what `docker login` left in
// $DOCKER_CONFIG or ~/.docker/config.json; without that it is anonymous. Its
// requests go through client.
func RegistryClient(client *http.Client) *auth.Client {
	c := &auth.Client{Client: client, Cache: auth.NewCache(), ClientID: "pkgtool"}
	// No file, or one that cannot be read: anonymous. A registry that wants
	// more says so.
	if docker, err := credentials.NewStoreFromDocker(credentials.StoreOptions{}); err == nil {
		c.Credential = credentials.Credential(docker)
	}
	return c
}

func (r *Registry) String() string { return r.place.String() }

// Get implements Source.
func (r *Registry) Get(ctx context.Context, path string, offset int64) (*Answer, error) {
	f, err := r.find(ctx, path)
	if err != nil {
		return nil, err
	}
	return r.Blob(ctx, f.SHA256, offset)
}

// Span implements Source.
func (r *Registry) Span(ctx context.Context, path string, first, end, size int64) (*Answer, error) {
	f, err := r.find(ctx, path)
	if err != nil {
		return nil, err
	}
	return r.BlobSpan(ctx, f.SHA256, first, end, size)
}

// toRead says which permission to ask for, so that one token serves all requests.
func (r *Registry) toRead(ctx context.Context) context.Context {
	return auth.AppendRepositoryScope(ctx, registry.Reference{Registry: r.place.Host, Repository: r.place.Name}, auth.ActionPull)
}

// Blob is Get for content by its sha256, whatever lists it.
func (r *Registry) Blob(ctx context.Context, sha256 string, offset int64) (*Answer, error) {
	return r.blobs.Get(r.toRead(ctx), "sha256:"+sha256, offset)
}

// BlobSpan is Span for content by its sha256.
func (r *Registry) BlobSpan(ctx context.Context, sha256 string, first, end, size int64) (*Answer, error) {
	return r.blobs.Span(r.toRead(ctx), "sha256:"+sha256, first, end, size)
}

// find looks a file up in the manifest that lists it.
func (r *Registry) find(ctx context.Context, path string) (oci.File, error) {
	tag := oci.TagOf(path)
	r.mu.Lock()
	l := r.manifests[tag]
	if l == nil {
		l = &listing{}
		r.manifests[tag] = l
	}
	r.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	f, listed := l.files[path]
	if listed && path != timestampFile || l.files != nil && !listed && time.Since(l.at) < listingAge {
		return f, absentUnless(listed)
	}
	files, _, err := r.Manifest(ctx, tag)
	if err != nil {
		return oci.File{}, err
	}
	l.files, l.at = files, time.Now()
	f, listed = l.files[path]
	return f, absentUnless(listed)
}

func absentUnless(listed bool) error {
	if listed {
		return nil
	}
	return fs.ErrNotExist
}

// Manifest fetches the list of files under a tag, and the sha256 of the
// manifest; one that is absent is empty and has none. It is bounded by
// oci.MaxManifest, and by ctx in time.
func (r *Registry) Manifest(ctx context.Context, tag string) (files map[string]oci.File, sum string, err error) {
	data, err := readManifest(r.toRead(ctx), r.client, r.place.Manifest(tag))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]oci.File{}, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	files, err = oci.Decode(tag, data)
	digest := sha256.Sum256(data)
	return files, hex.EncodeToString(digest[:]), err
}

func readManifest(ctx context.Context, client *auth.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "pkgtool")
	req.Header.Set("Accept", oci.ManifestType)
	resp, err := client.Do(req)
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		err = &HTTPError{status: http.StatusUnauthorized}
	}
	if err != nil {
		return nil, CauseOf(ctx, err)
	}
	defer resp.Body.Close()
	a, err := readAnswer(resp, nil)
	if err != nil {
		return nil, err
	}
	if a.Length > oci.MaxManifest {
		return nil, tuf.Refuse(tuf.Unbounded, "registry's manifest of %d bytes; at most %d are allowed", a.Length, oci.MaxManifest)
	}
	data, err := io.ReadAll(io.LimitReader(watched(ctx, a.Body), oci.MaxManifest+1))
	switch {
	case err != nil:
		return nil, CauseOf(ctx, err)
	case len(data) > oci.MaxManifest:
		return nil, tuf.Refuse(tuf.Unbounded, "registry's manifest has more than the %d bytes allowed", oci.MaxManifest)
	case a.Length >= 0 && int64(len(data)) < a.Length:
		return nil, ErrTruncated
	}
	return data, nil
}
