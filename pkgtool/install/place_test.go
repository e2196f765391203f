package install

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/version"
	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/signing"
)

// place is a publisher, its web server, and a system that knows it.
type place struct {
	testing.TB
	root       string
	key        *signing.PrivateKey
	repository *repo.Repository
	folder     string // of the repository
	url        string
	served     atomic.Int64 // bytes of packages
	files      int
}

func newPlace(t testing.TB) *place {
	t.Helper()
	now := time.Now()
	p := &place{TB: t, root: t.TempDir(), key: repotest.Key(t)}
	p.repository, p.folder = repotest.Repository(t, repo.Settings{Development: true}, &now, p.key)
	files := http.FileServer(http.Dir(p.folder))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, pkgfile.MediaSuffix) {
			w = &countingWriter{w, &p.served}
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	p.use(p.root)
	return p
}

type countingWriter struct {
	http.ResponseWriter
	sum *atomic.Int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.sum.Add(int64(len(b)))
	return w.ResponseWriter.Write(b)
}

// use makes the repository known to a system.
func (p *place) use(root string) {
	p.Helper()
	p.write(filepath.Join(root, "etc/pkgtool/repositories.d/test.yaml"), "schema: 1\nname: test\nurls: [\""+p.url+"\"]\n")
	p.write(filepath.Join(root, "etc/pkgtool/trust/test/root.json"), string(repotest.Root(p, p.folder)))
}

func (p *place) write(path, text string) {
	p.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.Fatal(err)
	}
}

// build writes a package file. what is the name with version and release
// ("zlib-1.2.13-1") and then relations, one per element: "requires libc >=2",
// "install-only", "vendor X", "file PATH CONTENT", "config PATH CONTENT". It
// holds usr/share/NAME/version besides.
func (p *place) build(what string, details ...string) string {
	p.Helper()
	parts := strings.Split(what, "-")
	v, err := version.Parse(parts[1] + "-" + parts[2])
	if err != nil {
		p.Fatal(err)
	}
	m := pkgfile.Manifest{Format: pkgfile.FormatVersion, Name: parts[0], Version: parts[1], Release: v.Release, Arch: "noarch",
		Summary: "test", License: "MIT", Recipe: parts[0],
		Provenance: pkgfile.Provenance{Action: strings.Repeat("ab", 32), Origin: "source", Epoch: repotest.Now.Unix()}}
	content := map[string]string{"usr/share/" + parts[0] + "/version": what}
	config := map[string]bool{}
	for _, detail := range details {
		kind, rest, _ := strings.Cut(detail, " ")
		switch kind {
		case "requires":
			m.Requires = append(m.Requires, rest)
		case "provides":
			m.Provides = append(m.Provides, rest)
		case "conflicts":
			m.Conflicts = append(m.Conflicts, rest)
		case "replaces":
			m.Replaces = append(m.Replaces, rest)
		case "recommends":
			m.Recommends = append(m.Recommends, rest)
		case "supplements":
			m.Supplements = append(m.Supplements, rest)
		case "vendor":
			m.Vendor = rest
		case "install-only":
			m.InstallOnly = true
			delete(content, "usr/share/"+parts[0]+"/version")
		case "file", "config":
			at, text, _ := strings.Cut(rest, " ")
			content[at], config[at] = text, kind == "config"
		default:
			p.Fatalf("unknown detail %q", detail)
		}
	}
	folders := map[string]bool{}
	var inputs []pkgfile.Input
	for _, at := range slices.Sorted(maps.Keys(content)) {
		for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
		text := content[at]
		inputs = append(inputs, pkgfile.Input{
			File: pkgfile.File{Path: at, Type: pkgfile.TypeFile, Mode: 0o644, Owner: "root", Group: "root", Config: config[at]},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }})
	}
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		inputs = append(inputs, pkgfile.Input{File: pkgfile.File{Path: dir, Type: pkgfile.TypeDir, Mode: 0o755, Owner: "root", Group: "root"}})
	}
	var out bytes.Buffer
	if _, err := pkgfile.Write(context.Background(), &out, m, inputs, pkgfile.Options{Signers: []*signing.PrivateKey{p.key}}); err != nil {
		p.Fatal(err)
	}
	p.files++
	file := filepath.Join(p.TempDir(), fmt.Sprint(p.files), what+".noarch"+pkgfile.MediaSuffix)
	p.write(file, out.String())
	return file
}

// publish builds a package and puts it on offer.
func (p *place) publish(what string, details ...string) {
	p.Helper()
	repotest.Publish(p, p.repository, p.build(what, details...))
}

// session opens the system.
func (p *place) session(opts Options) *Session {
	p.Helper()
	if opts.Root == "" {
		opts.Root = p.root
	}
	s, err := Open(opts)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { s.Close() })
	return s
}

// try carries a request out and returns its plan.
func (p *place) try(opts Options, r Request) (*Plan, error) {
	p.Helper()
	s := p.session(opts)
	defer s.Close()
	plan, err := s.Plan(context.Background(), r, false)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	return plan, plan.Commit(context.Background(), nil)
}

// do carries a request out that must succeed.
func (p *place) do(r Request) *Plan {
	p.Helper()
	plan, err := p.try(Options{}, r)
	if err != nil {
		p.Fatal(err)
	}
	return plan
}

// wantSteps compares a plan with lines such as "install zlib 1.2.13-1".
func (p *place) wantSteps(plan *Plan, want ...string) {
	p.Helper()
	var got []string
	for _, s := range plan.Steps {
		got = append(got, s.Do+" "+s.Name+" "+s.Version)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.Errorf("steps are %q, want %q", got, want)
	}
}

// wantInstalled compares what is installed: "zlib 1.2.13-1", with a "*" behind it
// when somebody asked for it.
func (p *place) wantInstalled(want ...string) {
	p.Helper()
	s := p.session(Options{})
	defer s.Close()
	var got []string
	for _, r := range s.System().Installed() {
		text := r.Name + " " + r.Version.String()
		if r.Requested {
			text += "*"
		}
		got = append(got, text)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		p.Errorf("installed are %q, want %q", got, want)
	}
}

func (p *place) wantText(file, want string) {
	p.Helper()
	got, err := os.ReadFile(filepath.Join(p.root, file))
	if err != nil || string(got) != want {
		p.Errorf("%s holds %q, %v; want %q", file, got, err, want)
	}
}

// entry is the newest package of a name on offer.
func (p *place) entry(name string) client.Entry {
	p.Helper()
	s := p.session(Options{})
	defer s.Close()
	if _, err := s.Refresh(context.Background()); err != nil {
		p.Fatal(err)
	}
	entries := s.Client().ByName(name)
	if len(entries) == 0 {
		p.Fatalf("%s is not on offer", name)
	}
	return entries[len(entries)-1]
}

// random is text that does not compress, the same in every run.
func random(size int) string {
	source := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(randomCalls.Add(1))})
	data := make([]byte, size/2)
	source.Read(data)
	return hex.EncodeToString(data)
}

var randomCalls atomic.Int64
