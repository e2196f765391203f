package client

import (
	"ashlar/repo/transport"
	"bytes"
	"context"
	"errors"
	"io"
)

// remoteFrom gets the manifest from m.
func (r *repository) remoteFrom(ctx context.Context, m transport.Source, e Entry) (*Remote, error) {
	if local, ok := m.(transport.Folder); ok {
		file, err := transport.OpenRegular(local.Path(e.Path))
		if err != nil {
			return nil, transport.Missing(err)
		}
		remote, err := r.open(e, nil, file)
		if err != nil {
			file.Close()
		}
		return remote, err
	}
	for {
		whole := r.isRangeless(m)
		var remote *Remote
		err := r.limits.Retry(ctx, func() (err error) {
			remote, err = r.metaFrom(ctx, m, e)
			return err
		})
		if whole || !errors.Is(err, transport.ErrRange) {
			return remote, transport.Missing(err)
		}
		r.noteRangeless(m)
	}
}

// keptUnasked is the most of a package that is kept though only its manifest was
// asked for, from a server that sends the whole.
const keptUnasked = 16 << 20

// metaFrom asks for the meta frame, or for the whole of a small package.
func (r *repository) metaFrom(ctx context.Context, m transport.Source, e Entry) (*Remote, error) {
	ctx, watch := transport.Watched(ctx, r.limits)
	defer watch.Stop()
	end := e.MetaSize
	if e.Size-e.MetaSize <= smallData {
		end = e.Size
	}
	a, err := r.askSpan(ctx, m, &e.Entry, 0, end)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	body := &arriving{r: a.Body, watch: watch}
	meta := make([]byte, e.MetaSize)
	if _, err := io.ReadFull(body, meta); err != nil {
		return nil, body.cutOff(ctx, a, err)
	}
	if _, err := r.openMeta(metaOnly{meta}, e); err != nil {
		return nil, err
	}
	remote, err := r.keepMeta(e, meta)
	if err != nil {
		return nil, &transport.LocalError{Err: err}
	}
	if end == e.Size || a.Whole && e.Size <= keptUnasked {
		// Whether the rest is right is Fetch's matter.
		all := span{0, len(remote.pkg.Manifest().Frames)}
		_ = remote.receive(ctx, body, all, nil)
	}
	return remote, nil
}

// metaOnly is a package file of which only the meta frame is there.
type metaOnly struct{ meta []byte }

func (m metaOnly) ReadAt(b []byte, offset int64) (int, error) {
	return bytes.NewReader(m.meta).ReadAt(b, offset)
}

// keepMeta puts a verified meta frame into the cache.
func (r *repository) keepMeta(e Entry, meta []byte) (*Remote, error) {
	file, err := makePartial(r.packagePath(&e.Entry, partialSuffix), e.Size)
	if err != nil {
		return nil, err
	}
	_, err = file.WriteAt(meta, 0)
	if err == nil {
		var remote *Remote
		if remote, err = r.open(e, file, nil); err == nil {
			return remote, nil
		}
	}
	file.Close()
	return nil, err
}
