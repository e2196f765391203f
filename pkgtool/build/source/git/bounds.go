package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// What a repository may be. git itself makes no delta of what is larger than
// 512 MiB and no longer chains than 4095.
const (
	maxRefs     = 256 << 20 // bytes of the list of refs
	maxPack     = 8 << 30   // bytes as received
	maxContent  = 16 << 30  // bytes of all objects, and of all files
	maxObject   = 2 << 30   // bytes of one object, which is held in memory
	maxDelta    = 512 << 20 // bytes of an object made of another
	maxChain    = 4096
	maxByName   = 100_000 // deltas whose base is named by id: the chain's length is not known before
	maxObjects  = 4_000_000
	maxFiles    = 2_000_000
	largeObject = 16 << 20 // bytes from which on files are not read into memory
	silence     = time.Minute
)

func refuse(format string, args ...any) error {
	return fault.Mark(fmt.Errorf("refused: "+format, args...), fault.Security, "this is not what a repository of sources looks like; do not trust it")
}

// bound returns a client whose answers are bounded in size and may not be
// silent for long. received, which may be nil, is told the bytes so far.
func bound(client *http.Client, received func(int64)) *http.Client {
	limited := *client
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	limited.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		limit, tell := int64(maxPack), received
		if strings.HasSuffix(r.URL.Path, "/info/refs") {
			limit, tell = maxRefs, nil
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		timer := time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing arrived for %s", silence)) })
		answer, err := next.RoundTrip(r.WithContext(ctx))
		if err != nil {
			timer.Stop()
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			cancel(nil)
			return nil, err
		}
		answer.Body = &boundedBody{ctx: ctx, body: answer.Body, left: limit, timer: timer, stop: cancel, received: tell}
		return answer, nil
	})
	return &limited
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type boundedBody struct {
	ctx        context.Context
	body       io.ReadCloser
	done, left int64
	timer      *time.Timer
	stop       context.CancelCauseFunc
	received   func(int64)
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.timer.Reset(silence)
	b.done, b.left = b.done+int64(n), b.left-int64(n)
	if b.left < 0 {
		return 0, refuse("the server sends more than %d bytes", b.done+b.left)
	}
	if b.received != nil && n > 0 {
		b.received(b.done)
	}
	if err != nil && err != io.EOF {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (b *boundedBody) Close() error {
	b.timer.Stop()
	b.stop(nil)
	return b.body.Close()
}

// checkPack reads a pack once, without keeping anything, and refuses one whose
// objects would fill the memory or the disk.
func checkPack(file *os.File) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	scanner := packfile.NewScanner(file)
	_, count, err := scanner.Header()
	if err != nil {
		return fmt.Errorf("read objects: %w", err)
	}
	if count > maxObjects {
		return refuse("a pack of %d objects", count)
	}
	var content int64
	byName := 0
	chain := map[int64]int{} // by offset: how many deltas lie below
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return fmt.Errorf("read objects: %w", err)
		}
		if header.Length > maxObject {
			return refuse("an object of %d bytes", header.Length)
		}
		start := &beginning{limit: header.Length}
		if _, _, err := scanner.NextObject(start); err != nil {
			return fmt.Errorf("read objects: %w", err)
		}
		content += header.Length
		switch header.Type {
		case plumbing.OFSDeltaObject:
			if chain[header.Offset] = chain[header.OffsetReference] + 1; chain[header.Offset] > maxChain {
				return refuse("a chain of more than %d deltas", maxChain)
			}
		case plumbing.REFDeltaObject:
			if byName++; byName > maxByName {
				return refuse("more than %d deltas whose base is named", maxByName)
			}
		}
		if header.Type.IsDelta() {
			from, to, ok := deltaSizes(start.data)
			if !ok || from > maxDelta || to > maxDelta {
				return refuse("a delta between %d and %d bytes", from, to)
			}
			content += to
		}
		if content > maxContent {
			return refuse("more than %d bytes of objects", int64(maxContent))
		}
	}
	return nil
}

// beginning keeps the first bytes of what is written to it.
type beginning struct {
	data        []byte
	done, limit int64
}

func (b *beginning) Write(p []byte) (int, error) {
	if b.done += int64(len(p)); b.done > b.limit {
		return 0, errors.New("an object is longer than it says")
	}
	b.data = append(b.data, p[:min(len(p), 20-len(b.data))]...)
	return len(p), nil
}

// deltaSizes reads the two numbers at the beginning of a delta: sizes of what
// it is made of and of what it makes, in bytes.
func deltaSizes(data []byte) (from, to int64, ok bool) {
	sizes := [2]int64{}
	for i := range sizes {
		for shift := 0; ; shift += 7 {
			if len(data) == 0 || shift > 49 {
				return 0, 0, false
			}
			c := data[0]
			data = data[1:]
			sizes[i] |= int64(c&0x7f) << shift
			if c&0x80 == 0 {
				break
			}
		}
	}
	return sizes[0], sizes[1], true
}
