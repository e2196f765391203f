package remote_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build/remote"
	"ashlar/pkgtool/build/remote/remotetest"
	"ashlar/pkgtool/fault"
	"ashlar/signing"
)

func open(t *testing.T, url string) remote.Store {
	t.Helper()
	s, err := remote.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFolder(t *testing.T) {
	remotetest.Run(t, open(t, t.TempDir()))
	remotetest.Run(t, open(t, "file://"+t.TempDir()))
}

func TestURLs(t *testing.T) {
	for _, bad := range []string{"ftp://host/x", "http:///x", "https://host/?q", "oci://host", "oci://host/UPPER", "oci://u:p@host/x", "file://host/x", "http://%zz"} {
		_, err := remote.Open(bad)
		if err == nil || fault.ClassOf(err) != fault.Usage {
			t.Errorf("%s: %v", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), ":p@") {
			t.Errorf("%s: the password is in the message", bad)
		}
	}
	if text := open(t, "http://user:secret@127.0.0.1/x").String(); strings.Contains(text, "secret") {
		t.Error(text)
	}
}

// serve answers as fn does, and returns the address.
func serve(t *testing.T, fn http.HandlerFunc) string {
	s := httptest.NewServer(fn)
	t.Cleanup(s.Close)
	return s.URL
}

func TestServersThatMisbehave(t *testing.T) {
	content := []byte("the content")
	b := remotetest.BlobOf(content)
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		class  fault.Class
		want   string
	}{
		{"other bytes", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the CONTENT") }, fault.Security, "has the sha256"},
		{"too short", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the") }, fault.Security, "3 bytes, 11 expected"},
		{"without end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write(make([]byte, 1<<16))
			}
		}, fault.Security, "more bytes"},
		{"forbidden", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, fault.Network, "403"},
		{"broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, fault.Network, "500"},
	} {
		var out bytes.Buffer
		err := remote.Fetch(t.Context(), open(t, serve(t, c.answer)), b, &out)
		if err == nil || fault.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (class %d)", c.name, err, fault.ClassOf(err))
		}
		if out.Len() > 1<<20 {
			t.Errorf("%s: %d bytes were written", c.name, out.Len())
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	s := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write(make([]byte, 1<<16))
		}
	}))
	if _, err := s.Entry(t.Context(), remotetest.BlobOf(nil).SHA256); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}

// TestTriesAgain: a server that is overloaded for a moment is asked again; one
// that says no is not.
func TestTriesAgain(t *testing.T) {
	for _, c := range []struct{ status, requests int }{{503, 3}, {429, 3}, {404, 1}, {401, 1}} {
		requests := 0
		s := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.WriteHeader(c.status)
		}))
		_, err := s.Entry(t.Context(), remotetest.BlobOf(nil).SHA256)
		if requests != c.requests || errors.Is(err, fs.ErrNotExist) != (c.status == 404) {
			t.Errorf("%d: %d requests, %v", c.status, requests, err)
		}
	}
}

func TestToken(t *testing.T) {
	t.Setenv(remote.TokenVariable, "abc")
	var got string
	s := open(t, serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	if _, err := s.Entry(t.Context(), remotetest.BlobOf(nil).SHA256); err != nil || got != "Bearer abc" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := remote.Open("http://cache.example.org/x"); err == nil {
		t.Error("a token would go over a network in the clear")
	}
}

func newKey(t *testing.T, name string) *signing.PrivateKey {
	t.Helper()
	key, err := signing.Generate(name, "", time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keyring(t *testing.T, keys ...*signing.PrivateKey) *signing.Keyring {
	t.Helper()
	var list []*signing.PublicKey
	for _, k := range keys {
		list = append(list, k.Public())
	}
	kr, err := signing.NewKeyring(list...)
	if err != nil {
		t.Fatal(err)
	}
	return kr
}

func TestSealedResults(t *testing.T) {
	one, two, other := newKey(t, "one"), newKey(t, "two"), newKey(t, "other")
	sum := remotetest.BlobOf(nil).SHA256
	r := remote.Result{Key: sum, Action: sum, Recipe: "zlib", Packages: []remote.Package{{Name: "zlib", SHA256: sum, Size: 5}}}
	entry, err := remote.Seal(r, one)
	if err != nil {
		t.Fatal(err)
	}
	both, more, err := remote.AddSignature(entry, two)
	if err != nil || !more {
		t.Fatal(more, err)
	}
	if _, more, _ := remote.AddSignature(both, two); more {
		t.Error("the same key signed twice")
	}
	if again, _ := remote.Seal(r, two); !remote.SamePayload(both, again) {
		t.Error("two builders of the same packages sign different bytes")
	}
	forged := bytes.Replace(both, []byte(`"payload":"`), []byte(`"payload":"A`), 1)
	for _, c := range []struct {
		name      string
		entry     []byte
		keys      *signing.Keyring
		threshold int
		good      bool
	}{
		{"one of one", entry, keyring(t, one), 1, true},
		{"one of two", entry, keyring(t, one, two), 2, false},
		{"two of two", both, keyring(t, one, two), 2, true},
		{"a stranger's", entry, keyring(t, other), 1, false},
		{"no signature", []byte(`{"payloadType":"application/vnd.ashlar.build.result.v1+json","payload":"e30="}`), keyring(t, one), 0, false},
		{"forged", forged, keyring(t, one, two), 1, false},
		{"no JSON", []byte("<html>"), keyring(t, one), 1, false},
	} {
		got, signers, err := remote.Unseal(c.entry, c.keys, c.threshold)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err != nil {
			if fault.ClassOf(err) != fault.Security {
				t.Errorf("%s: class %d", c.name, fault.ClassOf(err))
			}
		} else if got.Recipe != "zlib" || len(got.Packages) != 1 || len(signers) < c.threshold {
			t.Errorf("%s: %+v by %q", c.name, got, signers)
		}
	}
}

// FuzzUnseal: no entry makes it panic, and none without a signature counts.
func FuzzUnseal(f *testing.F) {
	key, err := signing.Generate("x", "", time.Unix(1, 0))
	if err != nil {
		f.Fatal(err)
	}
	allowed, err := signing.NewKeyring(key.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"payloadType":"application/vnd.ashlar.build.result.v1+json","payload":"e30=","signatures":[{"keyid":"","sig":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, signers, err := remote.Unseal(data, allowed, 1); err == nil {
			t.Errorf("%+v counts, by %q", r, signers)
		}
	})
}

// TestFolderIsServed: what is put into a folder is what a plain file server
// has to serve.
func TestFolderIsServed(t *testing.T) {
	dir := t.TempDir()
	folder := open(t, dir)
	content := []byte("content")
	b := remotetest.BlobOf(content)
	err := folder.Put(t.Context(), b, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err = errors.Join(err, folder.PutEntry(t.Context(), b.SHA256, []byte("entry"), nil)); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer web.Close()
	s := open(t, web.URL+"/")
	var got bytes.Buffer
	err = remote.Fetch(t.Context(), s, b, &got)
	entry, entryErr := s.Entry(t.Context(), b.SHA256)
	if err != nil || entryErr != nil || got.String() != "content" || string(entry) != "entry" {
		t.Errorf("%q %v, %q %v", got.String(), err, entry, entryErr)
	}
	if err := s.PutEntry(t.Context(), remotetest.BlobOf(nil).SHA256, nil, nil); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file server took something: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "blobs/sha256", b.SHA256)); err != nil {
		t.Fatal(err)
	}
	if err := remote.Fetch(t.Context(), s, b, io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Error(fmt.Sprint(err))
	}
}
