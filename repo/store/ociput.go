package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo/oci"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// PutFile implements Store.
func (r *Registry) PutFile(ctx context.Context, path, local string, o PutOptions) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	sum, err := Prove(local, o)
	if err != nil {
		return err
	}
	err = r.upload(ctx, sum, o.Size, func() (io.ReadCloser, error) { return transport.OpenRegular(local) })
	if err != nil {
		return fmt.Errorf("%s: put %s: %w", r, path, err)
	}
	if err := r.listed(ctx, path, sum, o.Size); err != nil || !o.Consume {
		return err
	}
	return os.Remove(local)
}

// PutBytes implements Store.
func (r *Registry) PutBytes(ctx context.Context, path string, data []byte) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	if err := r.putBlob(ctx, data); err != nil {
		return fmt.Errorf("%s: put %s: %w", r, path, err)
	}
	return r.listed(ctx, path, sumOf(data), int64(len(data)))
}

func (r *Registry) putBlob(ctx context.Context, data []byte) error {
	return r.upload(ctx, sumOf(data), int64(len(data)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Prove holds a local file against what is said of it (tuf.Tampered), and
// returns its sha256.
func Prove(local string, o PutOptions) (string, error) {
	f, err := transport.OpenRegular(local)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, io.LimitReader(f, o.Size+1))
	if err != nil {
		return "", err
	}
	return proven(o, size, hex.EncodeToString(sum.Sum(nil)))
}

// proven refuses a file of another length or sha256 than o says.
func proven(o PutOptions, size int64, sum string) (string, error) {
	switch {
	case size != o.Size:
		return "", tuf.Refuse(tuf.Tampered, "the file does not have the %d bytes that it should have", o.Size)
	case o.SHA256 != "" && sum != o.SHA256:
		return "", tuf.Refuse(tuf.Tampered, "the file's sha256 is %s; it should be %s", sum, o.SHA256)
	}
	return sum, nil
}

func (r *Registry) listed(ctx context.Context, path, sum string, size int64) error {
	return r.change(ctx, path, func(files map[string]oci.File) bool {
		was := files[path]
		files[path] = oci.File{Path: path, Size: size, SHA256: sum, Modified: time.Now()}
		return was.SHA256 != sum || was.Size != size
	})
}

// upload puts content into the registry, unless it is there.
func (r *Registry) upload(ctx context.Context, sum string, size int64, open func() (io.ReadCloser, error)) error {
	what := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.NewDigestFromEncoded(digest.SHA256, sum), Size: size}
	return r.try(ctx, func(ctx context.Context, watch *transport.Watch) error {
		if there, err := r.remote.Blobs().Exists(ctx, what); err != nil || there {
			return err
		}
		f, err := open()
		if err != nil {
			return &transport.LocalError{Err: err}
		}
		defer f.Close()
		return r.remote.Blobs().Push(ctx, what, transport.Counted(f, watch))
	})
}

// putList puts the manifest of a tag as it has become.
func (r *Registry) putList(ctx context.Context, tag string) error {
	r.mu.Lock()
	l := r.lists[tag]
	data, err := oci.Encode(tag, l.files)
	before := l.sum
	l.changed = false
	r.mu.Unlock()
	if err == nil {
		err = r.unchangedSince(ctx, tag, before)
	}
	if err == nil {
		err = r.putBlob(ctx, []byte(oci.Empty)) // that every manifest names
	}
	if err == nil {
		err = r.putManifest(ctx, tag, data)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		l.changed = true
		return fmt.Errorf("%s: put manifest %s: %w", r, tag, err)
	}
	l.sum = sumOf(data)
	return nil
}

// unchangedSince refuses to overwrite what another program put meanwhile. Two
// that do so within the same moment are not noticed; registries have no locks.
func (r *Registry) unchangedSince(ctx context.Context, tag, before string) error {
	var now ocispec.Descriptor
	err := r.try(ctx, func(ctx context.Context, _ *transport.Watch) (err error) {
		now, err = r.remote.Manifests().Resolve(ctx, tag)
		if errors.Is(err, errdef.ErrNotFound) {
			now, err = ocispec.Descriptor{}, nil
		}
		return err
	})
	if err != nil || now.Digest == "" && before == "" || now.Digest == digest.NewDigestFromEncoded(digest.SHA256, before) {
		return err
	}
	return fault.Mark(errors.New("another program has changed it since it was read"), fault.Failed, "let one program write to a registry at a time, and run this again")
}

func (r *Registry) putManifest(ctx context.Context, tag string, data []byte) error {
	what := ocispec.Descriptor{MediaType: oci.ManifestType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return r.try(ctx, func(ctx context.Context, _ *transport.Watch) error {
		return r.remote.Manifests().PushReference(ctx, what, bytes.NewReader(data), tag)
	})
}

// try does something with the registry, again if it fails in passing, and never
// under the minimum rate.
func (r *Registry) try(ctx context.Context, do func(ctx context.Context, watch *transport.Watch) error) error {
	var final error // that asking again would not change
	err := r.limits.Retry(ctx, func() error {
		ctx, watch := transport.Watched(ctx, r.limits)
		defer watch.Stop()
		err := transport.CauseOf(ctx, do(ctx, watch))
		if status := statusOf(err); status >= 400 && status < 500 && status != http.StatusTooManyRequests {
			final, err = err, nil
		}
		return err
	})
	if final != nil {
		err = final
	}
	return explained(err)
}

// statusOf returns the HTTP status by which a registry refused something, or 0.
func statusOf(err error) int {
	var read *transport.HTTPError
	var written *errcode.ErrorResponse
	switch {
	case errors.As(err, &written):
		return written.StatusCode
	case errors.As(err, &read):
		return read.Status()
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return http.StatusUnauthorized
	}
	return 0
}

// explained adds what to do about an answer of a registry, which is text from
// outside.
func explained(err error) error {
	hint := ""
	switch statusOf(err) {
	case 0:
		return err
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "sign on with `docker login`, `podman login --compat-auth-file` or the like, as somebody who may write there"
	case http.StatusMethodNotAllowed:
		hint = "the registry is read-only, or a cache of another one; write to that one"
	}
	return fault.Mark(errors.New(tuf.Printable(err.Error())), fault.Network, hint)
}
