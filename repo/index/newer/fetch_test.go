package newer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"testing"
	"time"

	"ashlar/repo/index"
	"ashlar/repo/transport"
)

// source has one file, and tells what it pleases.
type source struct {
	data   []byte
	whole  bool // it does not do ranges
	asked  int64
	number int
}

func (s *source) String() string { return "test" }

func (s *source) Get(context.Context, string, int64) (*transport.Answer, error) {
	return nil, fmt.Errorf("only ranges are to be asked for")
}

func (s *source) Span(_ context.Context, _ string, first, end, _ int64) (*transport.Answer, error) {
	s.number++
	s.asked += end - first
	if s.whole {
		return &transport.Answer{Body: io.NopCloser(bytes.NewReader(s.data)), Length: int64(len(s.data)), Framed: true, Whole: true}, nil
	}
	return &transport.Answer{Body: io.NopCloser(bytes.NewReader(s.data[first:end])), Start: first, Length: end - first, Framed: true}, nil
}

func indexes(t testing.TB) (old, new []byte) {
	t.Helper()
	var entries []index.Entry
	for i := range 3000 {
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
		e := index.Entry{Name: fmt.Sprintf("p%04d", i), Version: "1.0.0", Release: 1, Arch: "noarch", Size: 9, MetaSize: 1, SHA256: sum, Manifest: sum}
		e.Path = e.PoolPath()
		entries = append(entries, e)
	}
	old, _, err := index.Encode("stable", "noarch", entries)
	if err != nil {
		t.Fatal(err)
	}
	ref := index.RefOf(&entries[1700])
	new, _, err = index.Edit(old, []index.Change{{Remove: &ref}})
	if err != nil {
		t.Fatal(err)
	}
	return old, new
}

func objectOf(data []byte) transport.Object {
	sum := sha256.Sum256(data)
	return transport.Object{Path: "index", Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

var limits = transport.Limits{Attempts: 1, Stall: time.Second}.OrDefault()

func TestFetch(t *testing.T) {
	old, new := indexes(t)
	s := &source{data: new}
	got, err := Fetch(t.Context(), limits, s, objectOf(new), old)
	if err != nil || !bytes.Equal(got, new) {
		t.Fatal(err)
	}
	if s.asked > int64(len(new))/3 || s.number > 3 {
		t.Errorf("%d bytes of %d in %d requests", s.asked, len(new), s.number)
	}
	s = &source{data: new, whole: true}
	if got, err := Fetch(t.Context(), limits, s, objectOf(new), old); err != nil || !bytes.Equal(got, new) || s.number != 1 {
		t.Errorf("a source without ranges: %d requests, %v", s.number, err)
	}
}

// FuzzFetch: a source that lies brings nothing but the right index or an error,
// and is asked for no more than the file and the start of it.
func FuzzFetch(f *testing.F) {
	old, new := indexes(f)
	f.Add(0, byte(0), false)
	f.Add(5, byte(0xff), false)
	f.Add(18, byte(3), false)
	f.Add(19, byte(1), false)
	f.Add(40, byte(9), true)
	f.Add(len(new)-3, byte(1), false)
	f.Fuzz(func(t *testing.T, at int, change byte, whole bool) {
		data := bytes.Clone(new)
		if at >= 0 && at < len(data) {
			data[at] ^= change
		}
		s := &source{data: data, whole: whole}
		got, err := Fetch(t.Context(), limits, s, objectOf(new), old)
		if err == nil && !bytes.Equal(got, new) {
			t.Fatal("another index than the one that was signed")
		}
		if s.asked > int64(len(new))+grown+int64(len(new))/2 {
			t.Fatalf("%d bytes were asked for of %d", s.asked, len(new))
		}
	})
}
