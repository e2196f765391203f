package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// stall is how long a transfer may deliver nothing before it is given up.
const stall = time.Minute

// transfer brings part to the complete content from one location: continues
// what is there, tries again after failures that may pass, checks the sum.
func (f *Fetcher) transfer(ctx context.Context, s Source, location string, part *os.File, progress Progress) error {
	wait := f.backoff
	var err error
	for attempt := 1; ; attempt++ {
		var had int64
		if had, err = part.Seek(0, io.SeekEnd); err != nil {
			return err
		}
		err = f.download(ctx, s, location, part, progress)
		var sum *WrongSumError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &sum):
			if e := part.Truncate(0); e != nil {
				return e
			}
			if had == 0 {
				return err
			}
			continue // the beginning was from another time or place: once more from the start
		case !temporary(err) || attempt >= f.attempts || ctx.Err() != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
			wait *= 2
		}
	}
}

// temporary reports whether trying the same place again may help.
func temporary(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code >= 500 || status.Code == http.StatusTooManyRequests || status.Code == http.StatusRequestTimeout
	}
	return !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission)
}

// download appends to part what it lacks and checks the whole.
func (f *Fetcher) download(ctx context.Context, s Source, location string, part *os.File, progress Progress) error {
	sum := sha256.New()
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	have, err := io.Copy(sum, part)
	if err != nil {
		return err
	}
	limit := int64(maxUnknown)
	if s.Size > 0 {
		limit = s.Size
	}
	if s.Size == 0 || have < s.Size {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		body, total, resumed, err := f.open(ctx, location, have)
		if err != nil {
			return err
		}
		defer body.Close()
		if !resumed && have > 0 {
			if err := part.Truncate(0); err != nil {
				return err
			}
			if _, err := part.Seek(0, io.SeekStart); err != nil {
				return err
			}
			sum.Reset()
			have = 0
		}
		if s.Size > 0 && total >= 0 && total != s.Size {
			return &WrongSumError{fmt.Sprintf("%d bytes", total), fmt.Sprintf("%d bytes", s.Size)}
		}
		if s.Size > 0 {
			total = s.Size
		}
		meter := &meter{name: s.Name(), progress: progress, done: have, total: total, limit: limit,
			stall: time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing arrived for %s", stall)) })}
		defer meter.stall.Stop()
		n, err := io.Copy(io.MultiWriter(part, sum, meter), body)
		have += n
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return plain(err)
		}
		if total >= 0 && have < total {
			return fmt.Errorf("ended after %d of %d bytes: %w", have, total, io.ErrUnexpectedEOF)
		}
	}
	if err := f.checkSum(s, part, have, sum); err != nil {
		return err
	}
	if progress != nil {
		progress(s.Name(), have, have)
	}
	return nil
}

func (f *Fetcher) checkSum(s Source, part *os.File, size int64, sum hash.Hash) error {
	if s.H1 != "" {
		return verifyModule(s, part, size)
	}
	if s.Size > 0 && size != s.Size {
		return &WrongSumError{fmt.Sprintf("%d bytes", size), fmt.Sprintf("%d bytes", s.Size)}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != s.SHA256 {
		return &WrongSumError{got, s.SHA256}
	}
	return nil
}

// open asks location for the bytes from offset on. total is the whole file's
// size or -1; resumed says whether the answer begins at offset.
func (f *Fetcher) open(ctx context.Context, location string, offset int64) (body io.ReadCloser, total int64, resumed bool, err error) {
	if strings.HasPrefix(location, "file:") {
		return openFile(location, offset)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, 0, false, plain(err)
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	answer, err := f.client.Do(request)
	if err != nil {
		return nil, 0, false, plain(err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return answer.Body, answer.ContentLength, false, nil
	case http.StatusPartialContent:
		if total, ok := contentRange(answer.Header.Get("Content-Range"), offset); ok && offset > 0 {
			return answer.Body, total, true, nil
		}
		answer.Body.Close()
		return nil, 0, false, errors.New("answered with another part of the file than asked for")
	case http.StatusRequestedRangeNotSatisfiable:
		answer.Body.Close()
		return f.open(ctx, location, 0)
	}
	answer.Body.Close()
	return nil, 0, false, &StatusError{answer.StatusCode, answer.Status}
}

// contentRange reads "bytes <offset>-<end>/<total or *>".
func contentRange(header string, offset int64) (total int64, ok bool) {
	rest, ok := strings.CutPrefix(header, "bytes "+strconv.FormatInt(offset, 10)+"-")
	if !ok {
		return 0, false
	}
	_, size, ok := strings.Cut(rest, "/")
	if size == "*" {
		return -1, ok
	}
	total, err := strconv.ParseInt(size, 10, 64)
	return total, ok && err == nil && total > offset
}

func openFile(location string, offset int64) (io.ReadCloser, int64, bool, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, 0, false, err
	}
	file, err := os.Open(u.Path)
	if err != nil {
		return nil, 0, false, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil && offset > info.Size() {
		offset = 0
	}
	if err == nil {
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, 0, false, err
	}
	return file, info.Size(), offset > 0, nil
}

// meter counts what a transfer delivered, keeps its limit and tells progress.
type meter struct {
	name               string
	progress           Progress
	done, total, limit int64
	last               time.Time
	stall              *time.Timer
}

func (m *meter) Write(p []byte) (int, error) {
	m.stall.Reset(stall)
	m.done += int64(len(p))
	if m.done > m.limit {
		return 0, &WrongSumError{fmt.Sprintf("more than %d bytes", m.limit), "a file within its limit"}
	}
	if m.progress != nil && time.Since(m.last) > 100*time.Millisecond {
		m.last = time.Now()
		m.progress(m.name, m.done, m.total)
	}
	return len(p), nil
}
