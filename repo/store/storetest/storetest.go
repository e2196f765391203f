// Package storetest holds every store against the contract of store.Store. Only
// tests import it.
package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// Run tests the store that open opens. Every call of open opens the same place,
// empty before the first; the test closes what it gets.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	s := &suite{T: t, Store: open(t), local: t.TempDir()}
	defer func() { check(t, s.Close()) }()
	s.absent()
	s.putAndGet()
	s.replace()
	s.refuseOtherContent()
	s.refusePaths()
	s.sources()
	s.list()
	s.consume()
	s.together()
	s.remove()
	s.switchIt()
	again := &suite{T: t, Store: open(t), local: s.local}
	defer func() { check(t, again.Close()) }()
	again.want("metadata/timestamp.json", "second")
	again.want("pool/a/abc/0123456789abcdef.abc-1.0.0-1.x86_64.ashlar", "abc")
}

type suite struct {
	*testing.T
	store.Store
	local string
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// file makes a local file and the options that describe it.
func (s *suite) file(content string) (string, store.PutOptions) {
	s.Helper()
	f, err := os.CreateTemp(s.local, "file")
	check(s.T, err)
	_, err = f.WriteString(content)
	check(s.T, errors.Join(err, f.Close()))
	sum := sha256.Sum256([]byte(content))
	return f.Name(), store.PutOptions{Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

func (s *suite) put(path, content string) {
	s.Helper()
	local, o := s.file(content)
	check(s.T, s.PutFile(s.Context(), path, local, o))
	if _, err := os.Stat(local); err != nil {
		s.Errorf("the local file went: %v", err)
	}
}

func (s *suite) want(path, content string) {
	s.Helper()
	a, err := s.Get(s.Context(), path, 0)
	if err != nil {
		s.Errorf("%s: %v", path, err)
		return
	}
	defer a.Body.Close()
	got, err := io.ReadAll(a.Body)
	if err != nil || string(got) != content {
		s.Errorf("%s: %.40q (%d bytes), %v; want %.40q (%d bytes)", path, got, len(got), err, content, len(content))
	}
	if size, err := s.Stat(s.Context(), path); err != nil || size != int64(len(content)) {
		s.Errorf("%s: size %d, %v; want %d", path, size, err, len(content))
	}
}

func (s *suite) wantAbsent(path string) {
	s.Helper()
	if _, err := s.Stat(s.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("stat of absent %s: %v", path, err)
	}
	if a, err := s.Get(s.Context(), path, 0); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("get of absent %s: %v", path, err)
		if err == nil {
			a.Body.Close()
		}
	}
}

func (s *suite) absent() {
	s.wantAbsent("metadata/timestamp.json")
	s.wantAbsent("pool/a/none")
	check(s.T, s.Remove(s.Context(), "pool/a/none"))
	check(s.T, s.Sync(s.Context()))
	if got := s.paths("pool"); len(got) != 0 {
		s.Errorf("an empty store lists %q", got)
	}
}

const pool = "pool/a/abc/0123456789abcdef.abc-1.0.0-1.x86_64.ashlar"

func (s *suite) putAndGet() {
	s.put(pool, "abc")
	s.want(pool, "abc")
	big := strings.Repeat("0123456789abcdef", 1<<16+1)
	s.put("pool/b/big+1.~x/x", big)
	s.want("pool/b/big+1.~x/x", big)
	check(s.T, s.PutBytes(s.Context(), ".ashlar/mirror.json", []byte("{}")))
	s.want(".ashlar/mirror.json", "{}")
}

func (s *suite) replace() {
	s.put("index/x", "first")
	s.put("index/x", "the second")
	s.want("index/x", "the second")
	check(s.T, s.PutBytes(s.Context(), "index/x", []byte("third")))
	s.want("index/x", "third")
}

// refuseOtherContent: a file that is not what it is said to be stays out, and
// what was there stays.
func (s *suite) refuseOtherContent() {
	for name, spoil := range map[string]func(*store.PutOptions){
		"sha256":    func(o *store.PutOptions) { o.SHA256 = strings.Repeat("0", 64) },
		"too short": func(o *store.PutOptions) { o.Size++ },
		"too long":  func(o *store.PutOptions) { o.Size-- },
	} {
		local, o := s.file("other content")
		spoil(&o)
		for _, path := range []string{"pool/n/new", pool} {
			if err := s.PutFile(s.Context(), path, local, o); tuf.KindOf(err) != tuf.Tampered {
				s.Errorf("%s: %v; want a refusal as tampered", name, err)
			}
		}
		s.wantAbsent("pool/n/new")
		s.want(pool, "abc")
	}
	if err := s.PutFile(s.Context(), "pool/n/new", filepath.Join(s.local, "none"), store.PutOptions{Size: 1}); err == nil {
		s.Error("a local file that does not exist was put")
	}
}

func (s *suite) refusePaths() {
	local, o := s.file("x")
	for _, path := range []string{"", ".", "..", "../x", "pool/../../x", "/etc/x", "pool//x", "pool/./x", "pool/x/", "pool/a\x00b", `pool\..\x`} {
		if err := s.PutFile(s.Context(), path, local, o); err == nil {
			s.Errorf("PutFile took path %q", path)
		}
		if err := s.PutBytes(s.Context(), path, []byte("x")); err == nil {
			s.Errorf("PutBytes took path %q", path)
		}
		if err := s.Switch(s.Context(), path, []byte("x")); err == nil {
			s.Errorf("Switch took path %q", path)
		}
		if _, err := s.Stat(s.Context(), path); err == nil {
			s.Errorf("Stat took path %q", path)
		}
		if _, err := s.Get(s.Context(), path, 0); err == nil {
			s.Errorf("Get took path %q", path)
		}
	}
}

// sources holds the store against the contract of a source: offsets, ranges.
func (s *suite) sources() {
	s.put("pool/r/range", "0123456789")
	limits := transport.Limits{}.OrDefault()
	data, err := limits.ReadFile(s.Context(), s, "pool/r/range", 100, 10)
	if err != nil || string(data) != "0123456789" {
		s.Errorf("ReadFile: %q, %v", data, err)
	}
	a, err := s.Get(s.Context(), "pool/r/range", 4)
	check(s.T, err)
	data, err = io.ReadAll(a.Body)
	a.Body.Close()
	if err != nil || string(data) != "0123456789"[a.Start:] || a.Start != 0 && a.Start != 4 {
		s.Errorf("from 4: start %d, %q, %v", a.Start, data, err)
	}
	a, err = s.Span(s.Context(), "pool/r/range", 2, 5, 10)
	if errors.Is(err, transport.ErrRange) {
		return
	}
	check(s.T, err)
	data, err = io.ReadAll(io.LimitReader(a.Body, 3))
	a.Body.Close()
	if want := "0123456789"[a.Start : a.Start+3]; err != nil || string(data) != want || a.Length >= 0 && a.Length != 3 && !a.Whole {
		s.Errorf("range: %+v, %q, %v", a, data, err)
	}
	// An interrupted transfer goes on.
	content := strings.Repeat("abcdefgh", 1000)
	local, o := s.file(content)
	check(s.T, s.PutFile(s.Context(), "pool/r/resumed", local, o))
	into := filepath.Join(s.local, "resumed")
	check(s.T, os.WriteFile(into+".part", []byte(content[:3001]), 0o644))
	check(s.T, limits.Fetch(s.Context(), s, transport.Object{Path: "pool/r/resumed", Size: o.Size, SHA256: o.SHA256}, into, nil))
	if got, err := os.ReadFile(into); err != nil || string(got) != content {
		s.Errorf("resumed: %d bytes, %v", len(got), err)
	}
}

func (s *suite) paths(folder string) []string {
	s.Helper()
	var all []string
	check(s.T, s.List(s.Context(), folder, func(f store.File) error {
		size, err := s.Stat(s.Context(), f.Path)
		if err != nil || size != f.Size {
			s.Errorf("%s is listed with %d bytes; stat says %d, %v", f.Path, f.Size, size, err)
		}
		if f.Modified.IsZero() {
			s.Errorf("%s is listed without a time", f.Path)
		}
		all = append(all, f.Path)
		return nil
	}))
	slices.Sort(all)
	return all
}

func (s *suite) list() {
	if got, want := s.paths("pool"), []string{pool, "pool/b/big+1.~x/x", "pool/r/range", "pool/r/resumed"}; !slices.Equal(got, want) {
		s.Errorf("listed %q; want %q", got, want)
	}
	if got := s.paths("pool/r"); !slices.Equal(got, []string{"pool/r/range", "pool/r/resumed"}) {
		s.Errorf("listed %q", got)
	}
	if got := s.paths("poo"); len(got) != 0 {
		s.Errorf("poo is no folder and lists %q", got)
	}
	enough := errors.New("enough")
	count := 0
	err := s.List(s.Context(), "pool", func(store.File) error { count++; return enough })
	if !errors.Is(err, enough) || count != 1 {
		s.Errorf("%d files after %v", count, err)
	}
}

func (s *suite) consume() {
	local, o := s.file("consumed")
	o.Consume = true
	check(s.T, s.PutFile(s.Context(), "pool/c/consumed", local, o))
	s.want("pool/c/consumed", "consumed")
	local, o = s.file("not what was promised")
	o.Size, o.Consume = 3, true
	if err := s.PutFile(s.Context(), "pool/c/other", local, o); err == nil {
		s.Error("a consumed file of another length was taken")
	}
	s.wantAbsent("pool/c/other")
}

// together puts, reads and removes at once.
func (s *suite) together() {
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			path, content := fmt.Sprintf("pool/t/t%d/file", i%8), strings.Repeat("x", 1000)
			local := filepath.Join(s.local, fmt.Sprint("together", i))
			sum := sha256.Sum256([]byte(content))
			err := os.WriteFile(local, []byte(content), 0o644)
			if err == nil {
				err = s.PutFile(s.Context(), path, local, store.PutOptions{Size: 1000, SHA256: hex.EncodeToString(sum[:])})
			}
			if a, failed := s.Get(s.Context(), path, 0); failed == nil {
				data, _ := io.ReadAll(a.Body)
				a.Body.Close()
				if !bytes.Equal(data, []byte(content)) {
					s.Errorf("%s: read %d bytes", path, len(data))
				}
			}
			if i%3 == 0 {
				err = errors.Join(err, s.Remove(s.Context(), path))
			}
			if err != nil {
				s.Errorf("together: %v", err)
			}
		})
	}
	group.Wait()
	check(s.T, s.Sync(s.Context()))
}

func (s *suite) remove() {
	s.put("pool/g/gone/file", "x")
	s.put("pool/g/gone/stays", "y")
	check(s.T, s.Remove(s.Context(), "pool/g/gone/file"))
	s.wantAbsent("pool/g/gone/file")
	s.want("pool/g/gone/stays", "y")
	check(s.T, s.Remove(s.Context(), "pool/g/gone/stays"))
	s.put("pool/g/gone/file", "again")
	s.want("pool/g/gone/file", "again")
}

func (s *suite) switchIt() {
	for _, content := range []string{"first, which is longer", "second"} {
		check(s.T, s.Switch(s.Context(), "metadata/timestamp.json", []byte(content)))
		s.want("metadata/timestamp.json", content)
	}
}
