package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// Bucket is a store in an object store. An object is put as a whole and is
// durable when the answer arrives, so that Sync has nothing to do.
type Bucket struct {
	bucket *blob.Bucket
	name   string
	sums   bool // the server checks a sha256
}

// split takes a path off a URL, for the driver to take it as a prefix, and
// returns what the store is called besides.
func split(u *url.URL) (name string, driver *url.URL, err error) {
	if u.User != nil || u.Host == "" {
		return "", nil, fault.Mark(fmt.Errorf("url %.200q: object storage is %s://bucket[/prefix]", u.Redacted(), u.Scheme), fault.Usage,
			"give credentials as the storage's own tools take them, such as $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY")
	}
	d := *u
	d.Path, d.RawPath = "", ""
	query := u.Query()
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		if err := store.CheckPath(prefix); err != nil {
			return "", nil, err
		}
		query.Set("prefix", prefix+"/")
	} else if given := query.Get("prefix"); given != "" && !strings.HasSuffix(given, "/") {
		query.Set("prefix", given+"/")
	}
	d.RawQuery = query.Encode()
	return u.Scheme + "://" + u.Host + "/" + query.Get("prefix"), &d, nil
}

func (b *Bucket) String() string { return b.name }

// Close implements store.Store.
func (b *Bucket) Close() error { return b.bucket.Close() }

// Sync implements store.Store.
func (b *Bucket) Sync(context.Context) error { return nil }

// Get implements transport.Source.
func (b *Bucket) Get(ctx context.Context, path string, offset int64) (*transport.Answer, error) {
	r, err := b.read(ctx, path, offset, -1)
	if err != nil {
		return nil, err
	}
	return &transport.Answer{Body: r, Start: offset, Length: max(0, r.Size()-offset), Framed: true, Whole: offset == 0}, nil
}

// Span implements transport.Source.
func (b *Bucket) Span(ctx context.Context, path string, first, end, size int64) (*transport.Answer, error) {
	r, err := b.read(ctx, path, first, end-first)
	if err != nil {
		return nil, err
	}
	if r.Size() != size {
		r.Close()
		return nil, tuf.Refuse(tuf.Tampered, "length is not the %d bytes that the index states", size)
	}
	return &transport.Answer{Body: r, Start: first, Length: end - first, Framed: true, Whole: first == 0 && end == size}, nil
}

func (b *Bucket) read(ctx context.Context, path string, offset, length int64) (*blob.Reader, error) {
	if err := store.CheckPath(path); err != nil {
		return nil, err
	}
	r, err := b.bucket.NewRangeReader(ctx, path, offset, length, nil)
	return r, b.explained(ctx, "read", path, err)
}

// Stat implements store.Store.
func (b *Bucket) Stat(ctx context.Context, path string) (int64, error) {
	if err := store.CheckPath(path); err != nil {
		return 0, err
	}
	a, err := b.bucket.Attributes(ctx, path)
	if err != nil {
		return 0, b.explained(ctx, "look at", path, err)
	}
	return a.Size, nil
}

// List implements store.Store.
func (b *Bucket) List(ctx context.Context, folder string, yield func(store.File) error) error {
	if folder != "" {
		folder += "/"
	}
	for objects := b.bucket.List(&blob.ListOptions{Prefix: folder}); ; {
		o, err := objects.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return b.explained(ctx, "list", folder, err)
		}
		if o.IsDir || strings.HasSuffix(o.Key, "/") {
			continue // an empty object by which some tools show a folder
		}
		if err := yield(store.File{Path: o.Key, Size: o.Size, Modified: o.ModTime}); err != nil {
			return err
		}
	}
}

// Remove implements store.Store.
func (b *Bucket) Remove(ctx context.Context, path string) error {
	if err := store.CheckPath(path); err != nil {
		return err
	}
	err := b.explained(ctx, "remove", path, b.bucket.Delete(ctx, path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// explained says what failed, and what to do about it. The server's text is
// from outside.
func (b *Bucket) explained(ctx context.Context, doing, path string, err error) error {
	if err == nil {
		return nil
	}
	said := ""
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		said = coded.ErrorCode()
	}
	if said == "InvalidRange" {
		return transport.ErrRange
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %s %s: %w", b, doing, path, context.Cause(ctx))
	}
	hint, code, text := "", gcerrors.Code(err), tuf.Printable(err.Error())
	switch {
	case said == "NoSuchBucket":
		hint = "make the bucket first, with the storage's own tools"
	case code == gcerrors.NotFound:
		return &fs.PathError{Op: doing, Path: b.name + path, Err: fs.ErrNotExist}
	case code == gcerrors.PermissionDenied, slices.Contains(badCredentials, said), strings.Contains(text, "get credentials"):
		hint = "check the credentials ($AWS_ACCESS_KEY_ID and so on); they must be allowed to list, read, write and delete"
	}
	return fault.Mark(fmt.Errorf("%s: %s %s: %s", b, doing, path, text), fault.Network, hint)
}

// badCredentials are the words of S3 for keys that it does not take.
var badCredentials = []string{"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
