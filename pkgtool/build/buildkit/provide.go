package buildkit

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// provider gives a daemon the blobs of some stores, to read and nothing else.
type provider []store

func (p provider) open(d digest.Digest) (*os.File, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", errdefs.ErrInvalidArgument, err)
	}
	for _, s := range p {
		if f, err := os.Open(s.path(d)); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", errdefs.ErrNotFound, d)
}

// Info describes a blob.
func (p provider) Info(_ context.Context, d digest.Digest) (content.Info, error) {
	f, err := p.open(d)
	if err != nil {
		return content.Info{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return content.Info{}, err
	}
	return content.Info{Digest: d, Size: info.Size(), CreatedAt: info.ModTime(), UpdatedAt: info.ModTime()}, nil
}

// ReaderAt opens a blob.
func (p provider) ReaderAt(_ context.Context, d ocispecs.Descriptor) (content.ReaderAt, error) {
	f, err := p.open(d.Digest)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return blob{f, info.Size()}, nil
}

type blob struct {
	*os.File
	size int64
}

func (b blob) Size() int64 { return b.size }

// What a daemon could ask for besides, and does not get.

func (provider) Update(context.Context, content.Info, ...string) (content.Info, error) {
	return content.Info{}, errdefs.ErrPermissionDenied
}

func (provider) Walk(context.Context, content.WalkFunc, ...string) error {
	return errdefs.ErrPermissionDenied
}

func (provider) Delete(context.Context, digest.Digest) error { return errdefs.ErrPermissionDenied }

func (provider) Status(context.Context, string) (content.Status, error) {
	return content.Status{}, errdefs.ErrPermissionDenied
}

func (provider) ListStatuses(context.Context, ...string) ([]content.Status, error) {
	return nil, errdefs.ErrPermissionDenied
}

func (provider) Abort(context.Context, string) error { return errdefs.ErrPermissionDenied }

func (provider) Writer(context.Context, ...content.WriterOpt) (content.Writer, error) {
	return nil, errdefs.ErrPermissionDenied
}
