package client_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

// TestFetchURL: a package by URL, from good and bad servers.
func TestFetchURL(t *testing.T) {
	w, _ := newWorld(t)
	c := w.client(w.serve(w.dir))
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, w.entry(c, "bash").Path)
	data := read(t, path)
	tries := 0
	url := w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/good.ashlar":
			rw.Write(data)
		case "/second try":
			if tries++; tries == 1 {
				rw.Header().Set("Content-Length", "100000")
				rw.Write(data[:1000])
				panic(http.ErrAbortHandler)
			}
			rw.Write(data)
		case "/page":
			rw.Write([]byte("<html>"))
		case "/cut":
			rw.Write(data[:len(data)/2])
		case "/huge":
			rw.Header().Set("Content-Length", "99999999999999")
			rw.Write(data)
		case "/hangs":
			rw.Write(data[:10])
			http.NewResponseController(rw).Flush()
			<-req.Context().Done()
		default:
			http.NotFound(rw, req)
		}
	}))
	for _, test := range []struct {
		url   string
		class fault.Class // 0 is success
		text  string
	}{
		{url + "/good.ashlar?download=1", 0, ""},
		{url + "/second%20try", 0, ""},
		{"file://" + path, 0, ""},
		{url + "/page", fault.Security, "invalid package"},
		{url + "/cut", fault.Security, "invalid package"},
		{url + "/huge", fault.Security, "at most"},
		{url + "/hangs", fault.Network, "too slow"},
		{url + "/none", fault.Network, "404"},
		{"http://127.0.0.1:1/x", fault.Network, "refused"},
		{"file:///nowhere/x", fault.Failed, "no such file"},
		{"ftp://example.org/x", fault.Usage, "use an http, https or file URL"},
		{"file://host/x", fault.Usage, "use an http"},
		{"http://user:secret@127.0.0.1:1/x", fault.Network, "user:xxxxx@"},
	} {
		p, err := c.FetchURL(t.Context(), test.url, nil)
		if test.class == 0 {
			if err != nil {
				t.Errorf("%s: %v", test.url, err)
				continue
			}
			if p.Manifest().Name != "bash" || p.Verify(t.Context()) != nil {
				t.Errorf("%s: %s", test.url, p.Manifest().Name)
			}
			p.Close()
		} else if err == nil || fault.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v of class %d", test.url, err, fault.ClassOf(err))
		}
	}
	// By its content, it is the package that the repository has.
	files, err := os.ReadDir(filepath.Join(w.dirs.Cache, "packages"))
	if err != nil || len(files) != 1 || !strings.HasPrefix(files[0].Name(), w.entry(c, "bash").SHA256) {
		t.Errorf("left in the cache: %v, %v", files, err)
	}
}
