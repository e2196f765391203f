package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/repo/index"
	"ashlar/repo/tuf"

	"golang.org/x/sys/unix"
)

// download is a package on its way into a partial file, which a later run can
// continue. It never grows beyond the length that the index states.
type download struct {
	limits   Limits
	mirror   mirror
	entry    *index.Entry
	path     string // where it goes when it is complete
	part     *os.File
	have     int64
	sum      hash.Hash
	resumed  bool // the bytes may come from several answers
	progress Progress
}

// newDownload opens the partial file. Another process that is fetching the same
// package keeps its own.
func newDownload(l Limits, m mirror, e *index.Entry, path string, progress Progress) (*download, error) {
	part, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(part.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		part.Close()
		if part, err = os.CreateTemp(filepath.Dir(path), e.SHA256+".*.part"); err != nil {
			return nil, err
		}
	}
	d := &download{limits: l, mirror: m, entry: e, path: path, part: part, sum: sha256.New(), progress: progress}
	if d.have, err = io.Copy(d.sum, io.LimitReader(part, e.Size)); err != nil || d.have >= e.Size {
		err = errors.Join(err, d.restart())
	}
	d.resumed = d.have > 0
	if err != nil {
		part.Close()
		return nil, err
	}
	return d, nil
}

func (d *download) close() { d.part.Close() }

// restart forgets what has arrived.
func (d *download) restart() error {
	d.have = 0
	d.resumed = false
	d.sum.Reset()
	if err := d.part.Truncate(0); err != nil {
		return err
	}
	_, err := d.part.Seek(0, io.SeekStart)
	return err
}

// run fetches, proves and places the file. Bytes of an earlier run, perhaps of
// another mirror, that turn out wrong cost one fetch from the start.
func (d *download) run(ctx context.Context) error {
	err := d.fetch(ctx)
	if tuf.KindOf(err) == tuf.Tampered && d.resumed {
		if err := d.restart(); err != nil {
			return &localError{err}
		}
		err = d.fetch(ctx)
	}
	if tuf.KindOf(err) != "" {
		os.Remove(d.part.Name()) // wrong bytes are of no use to the next mirror
	}
	if err != nil {
		return err
	}
	if err := d.part.Chmod(0o644); err != nil {
		return &localError{err}
	}
	if err := d.part.Sync(); err != nil {
		return &localError{err}
	}
	if err := os.Rename(d.part.Name(), d.path); err != nil {
		return &localError{err}
	}
	if err := durable.SyncDir(filepath.Dir(d.path)); err != nil {
		return &localError{err}
	}
	return nil
}

// fetch asks until the file is complete and right, or the mirror fails.
func (d *download) fetch(ctx context.Context) error {
	for {
		before := d.have
		err := d.limits.retry(ctx, func() error { return d.once(ctx) })
		if err == nil {
			break
		}
		// A mirror that breaks off again and again, but goes on, is good enough.
		if !passing(err) || ctx.Err() != nil || d.have < before+leastProgress {
			return missing(err)
		}
	}
	if sum := hex.EncodeToString(d.sum.Sum(nil)); sum != d.entry.SHA256 {
		return wrongSum(sum, d.entry)
	}
	return nil
}

const leastProgress = 64 << 10

// once appends the rest of the file, from one answer.
func (d *download) once(ctx context.Context) error {
	ctx, watch := watched(ctx, d.limits)
	defer watch.stop()
	a, err := d.mirror.get(ctx, d.entry.Path, d.have)
	if errors.Is(err, errRange) && d.have > 0 {
		// Ranges misbehave here: take the whole file.
		if err := d.restart(); err != nil {
			return &localError{err}
		}
		a, err = d.mirror.get(ctx, d.entry.Path, 0)
	}
	if err != nil {
		return err
	}
	defer a.body.Close()
	if a.start != d.have {
		if err := d.restart(); err != nil {
			return &localError{err}
		}
	}
	left := d.entry.Size - d.have
	if a.length > left {
		return tuf.Refuse(tuf.Tampered, "the answer is %d bytes longer than the index states", a.length-left)
	}
	if a.length >= 0 && a.length < left {
		return tuf.Refuse(tuf.Tampered, "the file is %d bytes shorter than the index states", left-a.length)
	}
	err = d.copy(ctx, &counting{a.body, &watch.bytes}, left)
	if err == errTruncated && a.framed {
		return tuf.Refuse(tuf.Tampered, "the file is shorter than the index states")
	}
	return err
}

func (d *download) copy(ctx context.Context, body io.Reader, left int64) error {
	if d.have > 0 {
		d.resumed = true
	}
	buf := make([]byte, 128<<10)
	for {
		n, err := body.Read(buf)
		if int64(n) > left {
			return tuf.Refuse(tuf.Tampered, "the answer is longer than the %d bytes that the index states", d.entry.Size)
		}
		if n > 0 {
			if _, err := d.part.Write(buf[:n]); err != nil {
				return &localError{fmt.Errorf("write %s: %w", d.part.Name(), err)}
			}
			d.sum.Write(buf[:n])
			d.have += int64(n)
			left -= int64(n)
			d.progress(d.have, d.entry.Size)
		}
		switch {
		case err == io.EOF && left == 0:
			return nil
		case err == io.EOF:
			return errTruncated
		case err != nil:
			return causeOf(ctx, err)
		}
	}
}
