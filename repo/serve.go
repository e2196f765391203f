package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/fault"

	"golang.org/x/net/netutil"
)

// Limits of the server against slow and many clients.
const (
	headerTimeout  = 10 * time.Second // to send a request
	idleTimeout    = 60 * time.Second // between requests
	answerTimeout  = 30 * time.Second // to take an answer, plus the time that
	minimumRate    = 16 << 10         // this many bytes per second need
	maxHeader      = 16 << 10
	maxConnections = 8192
	stopTimeout    = 10 * time.Second
	maxMetadata    = 8 << 20 // hashed for its ETag at each request
)

// Handler serves the repository in dir, read-only: GET and HEAD of the files
// that clients use, with ranges and validators. Nothing outside dir, no hidden
// file and no folder is ever shown. Close releases dir.
type Handler struct {
	root *os.Root
}

// NewHandler opens dir for serving.
func NewHandler(dir string) (*Handler, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Handler{root}, nil
}

// Close releases the folder.
func (h *Handler) Close() error { return h.root.Close() }

// objectName is a file that is named by its content, which makes its name the
// validator and lets caches keep it for ever.
var objectName = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{64})\.`)

// versionedName is metadata that is written once.
var versionedName = regexp.MustCompile(`^[0-9]+\.(snapshot|targets)\.json$`)

func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "this repository is read-only", http.StatusMethodNotAllowed)
		return
	}
	// Without this a cache could keep "no such root metadata" over a rotation.
	header.Set("Cache-Control", "no-cache")
	f, info, err := h.open(req.URL.Path)
	if err != nil {
		http.Error(w, "no such file in this repository", http.StatusNotFound)
		return
	}
	defer f.Close()
	folder, base := path.Split(strings.TrimPrefix(req.URL.Path, "/"))
	tag, err := etag(f, folder, base)
	if err != nil {
		http.Error(w, "the file cannot be read", http.StatusInternalServerError)
		return
	}
	header.Set("ETag", tag)
	header.Set("Content-Type", contentType(base))
	if objectName.MatchString(base) || versionedName.MatchString(base) {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	deadline := time.Now().Add(answerTimeout + time.Duration(info.Size()/minimumRate)*time.Second)
	// Not every ResponseWriter has deadlines; those of a server have.
	_ = http.NewResponseController(w).SetWriteDeadline(deadline)
	// The zero time: modification times differ between mirrors, the tag does not.
	http.ServeContent(w, req, base, time.Time{}, f)
}

// open opens a regular file that clients may read.
func (h *Handler) open(urlPath string) (*os.File, fs.FileInfo, error) {
	name, ok := strings.CutPrefix(urlPath, "/")
	if !ok || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return nil, nil, fs.ErrNotExist
	}
	parts := strings.Split(name, "/")
	if len(parts) < 2 || !slices.Contains(served, parts[0]) {
		return nil, nil, fs.ErrNotExist
	}
	for _, part := range parts {
		if strings.HasPrefix(part, ".") {
			return nil, nil, fs.ErrNotExist
		}
	}
	// Asked before opening: opening a fifo would wait for its writer.
	if info, err := h.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil, nil, fs.ErrNotExist
	}
	f, err := h.root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, nil, fs.ErrNotExist
	}
	return f, info, nil
}

// etag returns a strong validator: from the name where the name is the
// content's, else from the content, which then is small.
func etag(f *os.File, folder, base string) (string, error) {
	if m := objectName.FindStringSubmatch(base); m != nil && folder != metadataDir+"/" {
		return `"` + m[1] + `"`, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, maxMetadata)); err != nil {
		return "", err
	}
	_, err := f.Seek(0, io.SeekStart)
	return `"` + hex.EncodeToString(sum.Sum(nil)) + `"`, err
}

func contentType(base string) string {
	switch path.Ext(base) {
	case ".json":
		return "application/json"
	case ".zst", ".ashlar":
		return "application/zstd"
	case ".pgp":
		return "application/pgp-keys"
	}
	return "application/octet-stream"
}

// Serve serves the repository in dir on listener until ctx ends, then lets
// running answers finish for a moment. Each request is one line in log, which
// may be nil.
func Serve(ctx context.Context, dir string, listener net.Listener, log io.Writer) error {
	if _, err := newestRoot(dir); err != nil {
		return err
	}
	h, err := NewHandler(dir)
	if err != nil {
		return err
	}
	defer h.Close()
	server := &http.Server{
		Handler:           logged(h, log),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      answerTimeout, // of errors; files set their own
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(netutil.LimitListener(listener, maxConnections)) }()
	select {
	case err := <-failed:
		return fault.Mark(fmt.Errorf("serve %s: %w", dir, err), fault.Network, "")
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return server.Close()
	}
	return nil
}
