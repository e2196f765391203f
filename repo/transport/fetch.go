package transport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/repo/tuf"

	"golang.org/x/sys/unix"
)

// Object is a file of a repository that something signed states length and hash
// of.
type Object struct {
	Path   string // in the repository
	Size   int64
	SHA256 string // in lower-case hexadecimal
}

// LocalError is a failure of this machine: a full disk, say. Another source does
// not help.
type LocalError struct{ Err error }

func (l *LocalError) Error() string { return l.Err.Error() }

func (l *LocalError) Unwrap() error { return l.Err }

// Missing gives a file that must be there, and is not, a better message.
func Missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the mirror does not have this file (%w); it may be incomplete", err)
	}
	return err
}

// WrongSum is the refusal of an object with another sha256.
func (o Object) WrongSum(sum string) error {
	return tuf.Refuse(tuf.Tampered, "sha256 is %s; the signed index says %s", sum, o.SHA256)
}

// Fetch gets an object from s into file, flushed and renamed into place when
// its length and hash are right. What arrived before an interruption waits in
// file.part and is continued by the next Fetch, from whatever source. progress,
// which may be nil, is told bytes done and to do. A failure of this machine is
// a *LocalError; anything else is the source's.
func (l Limits) Fetch(ctx context.Context, s Source, o Object, file string, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	d, err := newDownload(l, s, o, file, progress)
	if err != nil {
		return &LocalError{err}
	}
	defer d.close()
	return d.run(ctx)
}

// download is an object on its way into a partial file, which a later run can
// continue. It never grows beyond the length that is stated.
type download struct {
	limits   Limits
	source   Source
	object   Object
	path     string // where it goes when it is complete
	part     *os.File
	have     int64
	sum      hash.Hash
	resumed  bool // the bytes may come from several answers
	progress func(done, total int64)
}

// newDownload opens the partial file. Another process that is fetching the same
// object keeps its own.
func newDownload(l Limits, s Source, o Object, path string, progress func(done, total int64)) (*download, error) {
	part, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(part.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		part.Close()
		if part, err = os.CreateTemp(filepath.Dir(path), o.SHA256+".*.part"); err != nil {
			return nil, err
		}
	}
	d := &download{limits: l, source: s, object: o, path: path, part: part, sum: sha256.New(), progress: progress}
	if d.have, err = io.Copy(d.sum, io.LimitReader(part, o.Size)); err != nil || d.have >= o.Size {
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
// another source, that turn out wrong cost one fetch from the start.
func (d *download) run(ctx context.Context) error {
	err := d.fetch(ctx)
	if tuf.KindOf(err) == tuf.Tampered && d.resumed {
		if err := d.restart(); err != nil {
			return &LocalError{err}
		}
		err = d.fetch(ctx)
	}
	if tuf.KindOf(err) != "" {
		os.Remove(d.part.Name()) // wrong bytes are of no use to the next source
	}
	if err != nil {
		return err
	}
	if err := d.part.Chmod(0o644); err != nil {
		return &LocalError{err}
	}
	if err := d.part.Sync(); err != nil {
		return &LocalError{err}
	}
	if err := os.Rename(d.part.Name(), d.path); err != nil {
		return &LocalError{err}
	}
	if err := durable.SyncDir(filepath.Dir(d.path)); err != nil {
		return &LocalError{err}
	}
	return nil
}

// fetch asks until the file is complete and right, or the source fails.
func (d *download) fetch(ctx context.Context) error {
	for {
		before := d.have
		err := d.limits.Retry(ctx, func() error { return d.once(ctx) })
		if err == nil {
			break
		}
		// A source that breaks off again and again, but goes on, is good enough.
		if !Passing(err) || ctx.Err() != nil || d.have < before+LeastProgress {
			return Missing(err)
		}
	}
	if sum := hex.EncodeToString(d.sum.Sum(nil)); sum != d.object.SHA256 {
		return d.object.WrongSum(sum)
	}
	return nil
}

// LeastProgress is how many bytes make an interrupted transfer worth going on.
const LeastProgress = 64 << 10

// once appends the rest of the file, from one answer.
func (d *download) once(ctx context.Context) error {
	ctx, watch := Watched(ctx, d.limits)
	defer watch.Stop()
	a, err := d.source.Get(ctx, d.object.Path, d.have)
	if errors.Is(err, ErrRange) && d.have > 0 {
		// Ranges misbehave here: take the whole file.
		if err := d.restart(); err != nil {
			return &LocalError{err}
		}
		a, err = d.source.Get(ctx, d.object.Path, 0)
	}
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.Start != d.have {
		if err := d.restart(); err != nil {
			return &LocalError{err}
		}
	}
	left := d.object.Size - d.have
	if a.Length > left {
		return tuf.Refuse(tuf.Tampered, "the answer is %d bytes longer than the index states", a.Length-left)
	}
	if a.Length >= 0 && a.Length < left {
		return tuf.Refuse(tuf.Tampered, "the file is %d bytes shorter than the index states", left-a.Length)
	}
	err = d.copy(ctx, &counting{a.Body, watch}, left)
	if err == ErrTruncated && a.Framed {
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
			return tuf.Refuse(tuf.Tampered, "the answer is longer than the %d bytes that the index states", d.object.Size)
		}
		if n > 0 {
			if _, err := d.part.Write(buf[:n]); err != nil {
				return &LocalError{fmt.Errorf("write %s: %w", d.part.Name(), err)}
			}
			d.sum.Write(buf[:n])
			d.have += int64(n)
			left -= int64(n)
			d.progress(d.have, d.object.Size)
		}
		switch {
		case err == io.EOF && left == 0:
			return nil
		case err == io.EOF:
			return ErrTruncated
		case err != nil:
			return CauseOf(ctx, err)
		}
	}
}
