package blob

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"

	"ashlar/repo"
	"ashlar/repo/store"
	"ashlar/repo/transport"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"gocloud.dev/blob"
)

// Larger files are put in parts of partSize bytes, partsAtOnce at a time, which
// is what a file on its way needs in memory. S3 allows 10,000 parts.
const (
	partSize    = 16 << 20
	partsAtOnce = 3
)

// uploadLimits allow for storage that takes its time to answer.
var uploadLimits = transport.Limits{Stall: 2 * time.Minute}.OrDefault()

// PutFile implements store.Store.
func (b *Bucket) PutFile(ctx context.Context, path, local string, o store.PutOptions) error {
	if err := store.CheckPath(path); err != nil {
		return err
	}
	if _, err := store.Prove(local, o); err != nil {
		return err
	}
	f, err := transport.OpenRegular(local)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.put(ctx, path, f); err != nil || !o.Consume {
		return err
	}
	return os.Remove(local)
}

// PutBytes implements store.Store.
func (b *Bucket) PutBytes(ctx context.Context, path string, data []byte) error {
	if err := store.CheckPath(path); err != nil {
		return err
	}
	return b.put(ctx, path, bytes.NewReader(data))
}

// Switch implements store.Store: one put replaces an object at once, and all
// before it is durable already.
func (b *Bucket) Switch(ctx context.Context, path string, data []byte) error {
	return b.PutBytes(ctx, path, data)
}

// put uploads an object. The driver asks again up to three times; a put that
// fails leaves what was there.
func (b *Bucket) put(ctx context.Context, path string, content io.Reader) error {
	ctx, watch := transport.Watched(ctx, uploadLimits)
	defer watch.Stop()
	err := b.bucket.Upload(ctx, path, transport.Counted(content, watch), &blob.WriterOptions{
		ContentType:  repo.ContentType(path),
		CacheControl: repo.CacheControl(path),

		BufferSize:     partSize,
		MaxConcurrency: partsAtOnce,
		BeforeWrite:    b.beforeWrite,
	})
	return b.explained(ctx, "put", path, err)
}

// beforeWrite has S3 check a sha256 of what arrives. Servers that do not know
// of checksums are told from others by a parameter of the url.
func (b *Bucket) beforeWrite(as func(any) bool) error {
	var s3 *transfermanager.UploadObjectInput
	if b.sums && as(&s3) {
		s3.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	}
	return nil
}
