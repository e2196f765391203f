// Package remotetest holds what every place of a build cache must do.
package remotetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	"ashlar/pkgtool/build/remote"
)

// BlobOf identifies a content.
func BlobOf(content []byte) remote.Blob {
	sum := sha256.Sum256(content)
	return remote.Blob{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))}
}

// Run puts and gets in an empty place that may be written to.
func Run(t *testing.T, s remote.Store) {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key := BlobOf([]byte("a key")).SHA256
	if _, err := s.Entry(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an entry that is not there: %v", err)
	}
	contents := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("0123456789abcdef"), 1<<16)}
	var blobs []remote.Blob
	for _, c := range contents {
		b := BlobOf(c)
		blobs = append(blobs, b)
		if has, err := s.Has(ctx, b); err != nil || has {
			t.Errorf("Has before Put: %v, %v", has, err)
		}
		if err := remote.Fetch(ctx, s, b, io.Discard); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a blob that is not there: %v", err)
		}
		for range 2 { // the second time it is there already
			check(s.Put(ctx, b, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c)), nil }))
		}
		if has, err := s.Has(ctx, b); err != nil || !has {
			t.Errorf("Has after Put: %v, %v", has, err)
		}
		var got bytes.Buffer
		check(remote.Fetch(ctx, s, b, &got))
		if !bytes.Equal(got.Bytes(), c) {
			t.Errorf("%d bytes came back as %d", len(c), got.Len())
		}
	}
	for _, entry := range []string{"first", "replaced"} {
		check(s.PutEntry(ctx, key, []byte(entry), blobs))
		got, err := s.Entry(ctx, key)
		check(err)
		if string(got) != entry {
			t.Errorf("entry %q, want %q", got, entry)
		}
	}
	if l, ok := s.(remote.Lister); ok {
		var keys []string
		check(l.Entries(ctx, func(key string) error { keys = append(keys, key); return nil }))
		if !slices.Equal(keys, []string{key}) {
			t.Errorf("entries %q", keys)
		}
	}
	for _, bad := range []string{"", "../x", key + "0", key[:63] + "G"} {
		if _, err := s.Entry(ctx, bad); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("key %q: %v", bad, err)
		}
		if err := s.Put(ctx, remote.Blob{SHA256: bad}, nil); err == nil {
			t.Errorf("blob %q was put", bad)
		}
	}
}
