package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ashlar/pkgtool/durable"
)

// maxUnknown bounds a file whose size is not pinned, in bytes.
const maxUnknown = 8 << 30

// Progress is told how far the transfer of one source is; total is -1 while it
// is not known. It is called from the goroutine that called Fetch, at most
// about ten times a second, and once at the end with done == total.
type Progress func(name string, done, total int64)

// Fetcher fetches sources into a content-addressed cache. Its fields must not
// change after first use; its methods may be called from several goroutines,
// and several processes may share one cache.
type Fetcher struct {
	CacheDir string       // holds sources/sha256/<hex> and sources/h1/<hex>
	Mirrors  *Mirrors     // nil knows none
	GoProxy  string       // GOPROXY list; "" takes the one in force
	Mirror   string       // folder or URL where `source mirror` put files; tried before all other places
	Base     string       // folder that relative file URIs start from; "" refuses them
	Offline  bool         // use the cache only
	Client   *http.Client // nil takes one with sensible time limits

	once     sync.Once
	client   *http.Client
	backoff  time.Duration // before the second try; tests shorten it
	attempts int
}

// DefaultCacheDir is the folder for what can be fetched or made again:
// $ASHLAR_CACHE, or ashlar in the user's cache folder.
func DefaultCacheDir() (string, error) {
	if dir := os.Getenv("ASHLAR_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set ASHLAR_CACHE", err)
	}
	return filepath.Join(dir, "ashlar"), nil
}

// Host returns a Fetcher with this host's cache, mirrors and module proxy, and
// $ASHLAR_SOURCE_MIRROR as its first place.
func Host() (*Fetcher, error) {
	dir, err := DefaultCacheDir()
	if err != nil {
		return nil, err
	}
	mirrors, err := HostMirrors("", "")
	if err != nil {
		return nil, err
	}
	return &Fetcher{CacheDir: dir, Mirrors: mirrors, Mirror: os.Getenv("ASHLAR_SOURCE_MIRROR")}, nil
}

func (f *Fetcher) init() {
	f.once.Do(func() {
		if f.backoff == 0 {
			f.backoff = time.Second
		}
		if f.attempts == 0 {
			f.attempts = 4
		}
		f.client = f.Client
		if f.client == nil {
			transport := http.DefaultTransport.(*http.Transport).Clone()
			transport.ResponseHeaderTimeout = time.Minute
			transport.DisableCompression = true // sums are over the bytes as served
			transport.Proxy = func(r *http.Request) (*url.URL, error) {
				if f.Mirrors != nil {
					if proxy := f.Mirrors.proxies[r.URL.Host]; proxy != "" {
						return url.Parse(proxy)
					}
				}
				return http.ProxyFromEnvironment(r)
			}
			f.client = &http.Client{Transport: transport}
		}
		if f.GoProxy == "" {
			f.GoProxy = GoProxy()
		}
	})
}

// Path returns where the cache keeps the source, whether or not it is there.
func (f *Fetcher) Path(s Source) string {
	return filepath.Join(f.CacheDir, filepath.FromSlash(s.cachePath()))
}

// Cached reports whether the source is in the cache and intact.
func (f *Fetcher) Cached(ctx context.Context, s Source) bool {
	return s.Check() == nil && f.verify(ctx, s, f.Path(s)) == nil
}

// Fetch returns the path of the verified file in the cache, after fetching it
// if it is not there. The file must not be changed. progress may be nil.
//
// Its errors are of class fault.Security when a place served wrong bytes or the
// source's signature is not good, fault.Network when no place had it (a
// *[FetchError]), fault.Usage when the source itself is wrong.
func (f *Fetcher) Fetch(ctx context.Context, s Source, progress Progress) (string, error) {
	f.init()
	if err := s.Check(); err != nil {
		return "", err
	}
	path, err := f.fetch(ctx, s, progress)
	if err == nil && s.Signature != nil {
		err = f.checkSignature(ctx, s, path)
	}
	if err != nil {
		return "", err
	}
	return path, nil
}

// fetch is Fetch without the signature.
func (f *Fetcher) fetch(ctx context.Context, s Source, progress Progress) (string, error) {
	path := f.Path(s)
	if f.verify(ctx, s, path) == nil {
		return path, nil
	}
	for _, dir := range []string{filepath.Dir(path), f.partialDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", fmt.Errorf("source cache: %w", err)
		}
	}
	part, err := f.lockPartial(ctx, filepath.Join(f.partialDir(), filepath.Base(path)))
	if err != nil {
		return "", fmt.Errorf("source cache: %w", err)
	}
	defer part.Close() // and with it the lock
	if err := f.verify(ctx, s, path); err == nil {
		os.Remove(part.Name())
		return path, nil // another process was faster
	} else if !errors.Is(err, fs.ErrNotExist) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err := os.Remove(path); err != nil { // damaged
			return "", fmt.Errorf("source cache: %w", err)
		}
	}
	locations, tried := f.locate(s)
	if f.Offline {
		locations, tried = nil, append(tried, Attempt{path, errors.New("not in the cache, and fetching is off")})
	}
	for _, l := range locations {
		err := f.transfer(ctx, s, l, part, progress)
		if err == nil {
			return path, f.keep(part, path)
		}
		if ctx.Err() != nil {
			return "", fmt.Errorf("fetch source %s: %w", s.Name(), ctx.Err())
		}
		tried = append(tried, Attempt{Redact(l), err})
	}
	if s.Git != nil && !f.Offline {
		err := f.archive(ctx, s, part, progress)
		if err == nil {
			return path, f.keep(part, path)
		}
		if ctx.Err() != nil {
			return "", fmt.Errorf("fetch source %s: %w", s.Name(), ctx.Err())
		}
		tried = append(tried, Attempt{Redact(s.Git.URL), err})
	}
	return "", fetchError(s, tried, path)
}

func (f *Fetcher) partialDir() string { return filepath.Join(f.CacheDir, "sources", "partial") }

// locate turns the source's URIs into URLs, and reports those that lead nowhere.
func (f *Fetcher) locate(s Source) (locations []string, tried []Attempt) {
	if f.Mirror != "" && s.SHA256+s.H1 != "" {
		if base, err := mirrorBase(f.Mirror); err != nil {
			tried = append(tried, Attempt{"ASHLAR_SOURCE_MIRROR", err})
		} else {
			locations = append(locations, base+"/"+s.mirrorPath())
		}
	}
	for _, uri := range s.URIs {
		found, err := f.locations(uri, s.Base)
		if err != nil {
			tried = append(tried, Attempt{Redact(uri), err})
		}
		locations = append(locations, found...)
	}
	return locations, tried
}

func (f *Fetcher) locations(uri, base string) ([]string, error) {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || strings.ContainsAny(scheme, "/.") {
		scheme, rest = "file", uri
	}
	switch scheme {
	case "http", "https":
		return []string{uri}, nil
	case "mirror":
		return f.Mirrors.Resolve(uri)
	case "gomod":
		m, err := parseGoModule(uri)
		if err != nil {
			return nil, err
		}
		bases, err := goProxyURLs(f.GoProxy)
		if err != nil {
			return nil, err
		}
		path, err := m.proxyPath(m.suffix())
		if err != nil {
			return nil, err
		}
		for i := range bases {
			bases[i] += "/" + path
		}
		return bases, nil
	case "file":
		rest = strings.TrimPrefix(rest, "//")
		if !filepath.IsAbs(rest) {
			if base == "" {
				base = f.Base
			}
			if base == "" {
				return nil, errors.New("a relative file, and there is no folder to start from")
			}
			rest = filepath.Join(base, rest)
		}
		return []string{(&url.URL{Scheme: "file", Path: rest}).String()}, nil
	}
	return nil, fmt.Errorf("scheme %.20q is not one of https, http, mirror, gomod, file", scheme)
}

// keep moves the complete, verified partial file to its final name.
func (f *Fetcher) keep(part *os.File, path string) error {
	err := part.Chmod(0o644)
	if err == nil {
		err = part.Sync()
	}
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("source cache: %w", err)
	}
	return nil
}

// verify checks the file at path against the source's pin.
func (f *Fetcher) verify(ctx context.Context, s Source, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if s.Size > 0 && info.Size() != s.Size {
		return &WrongSumError{fmt.Sprintf("%d bytes", info.Size()), fmt.Sprintf("%d bytes", s.Size)}
	}
	if s.H1 != "" {
		return verifyModule(s, file, info.Size())
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return file.Read(p)
	})); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != s.SHA256 {
		return &WrongSumError{got, s.SHA256}
	}
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
