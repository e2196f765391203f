package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/mirror"
	"ashlar/repo/repotest"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/signing"
)

// origin is a repository to copy.
type origin struct {
	*testing.T
	*repo.Repository
	dir, in string
	now     time.Time
	key     *signing.PrivateKey
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{T: t, now: repotest.Now, key: repotest.Key(t), in: t.TempDir()}
	o.Repository, o.dir = repotest.Repository(t, repo.Settings{Development: true}, &o.now, o.key)
	return o
}

// publish adds packages, named as repotest.Package names them, with as many
// bytes that do not compress as size says.
func (o *origin) publish(size int, names ...string) {
	o.Helper()
	o.publishTo(repo.DefaultChannel, size, names...)
}

func (o *origin) publishTo(channel string, size int, names ...string) {
	o.Helper()
	o.now = o.now.Add(time.Hour)
	for _, name := range names {
		file := repotest.Package(o.T, o.in, name, noise(size, name+o.now.String()), nil, o.key)
		if _, err := o.Add(o.Context(), channel, file); err != nil {
			o.Fatal(err)
		}
	}
	if _, err := o.Publish(o.Context()); err != nil {
		o.Fatal(err)
	}
}

// noise is text that hardly compresses, the same for the same seed.
func noise(size int, seed string) string {
	state := uint64(14695981039346656037)
	for _, c := range seed {
		state = (state ^ uint64(c)) * 1099511628211
	}
	out := make([]byte, size)
	for i := range out {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		out[i] = byte(state >> 32)
	}
	return string(out)
}

func (o *origin) folder() transport.Source { return transport.Folder{Dir: o.dir} }

func (o *origin) options() mirror.Options {
	root, err := mirror.OwnRoot(o.dir)
	if err != nil {
		o.Fatal(err)
	}
	return mirror.Options{Root: root, Now: func() time.Time { return o.now }, Limits: quick}
}

var quick = transport.Limits{Stall: 2 * time.Second, Attempts: 1, Backoff: time.Millisecond}

// sync runs into a folder and must succeed.
func (o *origin) sync(to string, edit func(*mirror.Options), sources ...transport.Source) *mirror.Result {
	o.Helper()
	r, err := o.try(to, edit, sources...)
	if err != nil {
		o.Fatal(err)
	}
	return r
}

func (o *origin) try(to string, edit func(*mirror.Options), sources ...transport.Source) (*mirror.Result, error) {
	o.Helper()
	s, err := store.OpenDir(to)
	if err != nil {
		o.Fatal(err)
	}
	defer s.Close()
	return o.into(s, edit, sources...)
}

func (o *origin) into(s store.Store, edit func(*mirror.Options), sources ...transport.Source) (*mirror.Result, error) {
	options := o.options()
	if edit != nil {
		edit(&options)
	}
	if len(sources) == 0 {
		sources = []transport.Source{o.folder()}
	}
	return mirror.Sync(o.Context(), s, sources, options)
}

// good checks a mirror as a client with an empty cache would, every package.
func (o *origin) good(dir string) {
	o.Helper()
	report, err := repo.Check(o.Context(), dir, o.now)
	if err != nil {
		o.Fatal(err)
	}
	if len(report.Problems) != 0 {
		o.Errorf("%s: %v", dir, report.Problems)
	}
}

// same holds the files that clients read against those of the origin.
func (o *origin) same(dir string) {
	o.Helper()
	o.good(dir)
	if want, got := tree(o.T, o.dir), tree(o.T, dir); !slices.Equal(want, got) {
		o.Errorf("the mirror differs; origin:\n%s\nmirror:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// tree lists the files of a repository that clients read, with their hashes.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || d.IsDir() {
			if d.Name() == ".ashlar" {
				return fs.SkipDir
			}
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		all = append(all, fmt.Sprintf("%s %s", rel, hashOf(t, f)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func version(t testing.TB, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, repo.TimestampPath))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// web serves a folder over HTTP and counts what it sends. before, if set, sees
// each path before it is answered, and may answer itself.
type web struct {
	*httptest.Server
	dir      string
	bytes    atomic.Int64
	requests atomic.Int64
	before   func(w http.ResponseWriter, path string) (answered bool)
}

func newWeb(t *testing.T, dir string) *web {
	w := &web{dir: dir}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *web) ServeHTTP(out http.ResponseWriter, req *http.Request) {
	w.requests.Add(1)
	path := strings.TrimPrefix(req.URL.Path, "/")
	if w.before != nil && w.before(out, path) {
		return
	}
	http.ServeFile(&sending{out, w}, req, filepath.Join(w.dir, path))
}

type sending struct {
	http.ResponseWriter
	web *web
}

func (s *sending) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.web.bytes.Add(int64(n))
	return n, err
}

func (w *web) source(t testing.TB) transport.Source {
	t.Helper()
	s, err := transport.Open(w.URL, w.Client())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// breaking is a source that ends for good after so many bytes, as a program
// that is killed does.
type breaking struct {
	transport.Source
	left *atomic.Int64
}

var errBroken = errors.New("the line was cut")

func (b breaking) Get(ctx context.Context, path string, offset int64) (*transport.Answer, error) {
	if b.left.Load() <= 0 {
		return nil, errBroken
	}
	a, err := b.Source.Get(ctx, path, offset)
	if err == nil {
		a.Body = &breakingBody{a.Body, b.left}
	}
	return a, err
}

type breakingBody struct {
	io.ReadCloser
	left *atomic.Int64
}

func (b *breakingBody) Read(p []byte) (int, error) {
	left := b.left.Load()
	if left <= 0 {
		return 0, errBroken
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), left)])
	b.left.Add(-int64(n))
	return n, err
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
