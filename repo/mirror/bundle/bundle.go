package bundle

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo/mirror"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// headerName is the first file of a bundle.
const headerName = "ashlar-bundle.json"

const (
	maxHeader  = 64 << 10
	maxMembers = 2_000_000
)

// Header says what a bundle holds. It informs; the metadata decides.
type Header struct {
	Format    int       `json:"ashlar_bundle"`
	Version   int64     `json:"version"` // of the timestamp metadata
	Published time.Time `json:"published"`
	Channels  []string  `json:"channels,omitempty"` // empty: all
	Arches    []string  `json:"arches,omitempty"`   // empty: all
	Files     int       `json:"files"`              // behind this one
	Bytes     int64     `json:"bytes"`              // of these files
	LeftOut   int       `json:"left_out"`           // files of the state that the receiver is said to have
}

// Settings is the part of the repository that the bundle is of.
func (h *Header) Settings() mirror.Settings {
	return mirror.Settings{Channels: h.Channels, Arches: h.Arches}
}

// Bundle is an open bundle. It is a transport.Source.
type Bundle struct {
	Header
	name    string
	file    io.ReaderAt
	close   func() error
	members map[string]member
}

// member is where the content of a file lies.
type member struct{ offset, size int64 }

// Open opens a bundle and reads where its files are. One that is not as the
// format wants it is refused (tuf.Tampered). The caller closes it.
func Open(path string) (*Bundle, error) {
	f, err := transport.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	var b *Bundle
	if err == nil {
		b, err = read(f, info.Size(), path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	b.close = f.Close
	return b, nil
}

// Close closes the file.
func (b *Bundle) Close() error { return b.close() }

func (b *Bundle) String() string { return "bundle " + b.name }

func refuse(name, format string, args ...any) error {
	err := tuf.Refuse(tuf.Tampered, "bundle %s: %w", name, fmt.Errorf(format, args...))
	return fault.Mark(err, fault.Security, "copy it again, or ask whoever made it for another one")
}

// read reads all headers.
func read(file io.ReaderAt, size int64, name string) (*Bundle, error) {
	b := &Bundle{name: filepath.Base(name), file: file, members: map[string]member{}}
	at := io.NewSectionReader(file, 0, size)
	archive := tar.NewReader(at)
	first, err := archive.Next()
	if err != nil || first.Name != headerName || first.Size > maxHeader || first.Typeflag != tar.TypeReg {
		return nil, refuse(b.name, "it does not begin with %s: it is no bundle", headerName)
	}
	text, err := io.ReadAll(archive)
	if err == nil {
		err = json.Unmarshal(text, &b.Header)
	}
	if err != nil {
		return nil, refuse(b.name, "%s: %w", headerName, err)
	}
	if b.Format != 1 {
		return nil, fault.Mark(fmt.Errorf("bundle %s is of format %d; this pkgtool reads format 1", b.name, b.Format), fault.Usage, "use a newer pkgtool")
	}
	var sum int64
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, refuse(b.name, "behind %d files: %w", len(b.members), err)
		}
		offset, err := at.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := b.add(h, offset, size); err != nil {
			return nil, err
		}
		sum += h.Size
	}
	if len(b.members) != b.Files || sum != b.Bytes {
		return nil, refuse(b.name, "it holds %d files of %d bytes, and should hold %d of %d: it is cut off, or was changed", len(b.members), sum, b.Files, b.Bytes)
	}
	return b, nil
}

// add notes a file of the archive, if it is one that a bundle can have.
func (b *Bundle) add(h *tar.Header, offset, size int64) error {
	_, twice := b.members[h.Name]
	switch {
	case h.Typeflag != tar.TypeReg:
		return refuse(b.name, "%.200q is no regular file", h.Name)
	case !validName(h.Name):
		return refuse(b.name, "%.200q is no file of a repository", h.Name)
	case twice:
		return refuse(b.name, "%.200q is there twice", h.Name)
	case len(b.members) == maxMembers:
		return refuse(b.name, "more than %d files", maxMembers)
	case h.Size < 0 || h.Size > size-offset:
		return refuse(b.name, "%.200q has %d bytes, and the file ends before", h.Name, h.Size)
	}
	for key := range h.PAXRecords {
		if key != "path" && key != "size" {
			return refuse(b.name, "%.200q has the attribute %.50q", h.Name, key)
		}
	}
	b.members[h.Name] = member{offset, h.Size}
	return nil
}

// validName accepts what a mirror would ask for: visible files in folders.
func validName(name string) bool {
	return store.CheckPath(name) == nil && len(name) < 1024 && strings.Contains(name, "/") &&
		!strings.HasPrefix(name, ".") && !strings.Contains(name, "/.")
}

// Get implements transport.Source.
func (b *Bundle) Get(_ context.Context, path string, offset int64) (*transport.Answer, error) {
	m, ok := b.members[path]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	left := max(0, m.size-offset)
	body := io.NewSectionReader(b.file, m.offset+min(offset, m.size), left)
	return &transport.Answer{Body: io.NopCloser(body), Start: offset, Length: left, Framed: true, Whole: offset == 0}, nil
}

// Span implements transport.Source.
func (b *Bundle) Span(ctx context.Context, path string, first, end, size int64) (*transport.Answer, error) {
	a, err := b.Get(ctx, path, first)
	if err != nil {
		return nil, err
	}
	if a.Length != size-first {
		return nil, tuf.Refuse(tuf.Tampered, "length is not the %d bytes that the index states", size)
	}
	a.Body = io.NopCloser(io.LimitReader(a.Body, end-first))
	a.Length, a.Whole = end-first, a.Whole && end == size
	return a, nil
}

// Import makes to show the state in a bundle, as mirror.Sync does. A mirror that
// is made by it has the part of the repository that the bundle has.
func Import(ctx context.Context, to store.Store, b *Bundle, o mirror.Options) (*mirror.Result, error) {
	known, err := mirror.IsMirror(ctx, to, o.Limits)
	if err != nil {
		return nil, err
	}
	if !known && len(o.Channels) == 0 && len(o.Arches) == 0 {
		o.Channels, o.Arches = b.Channels, b.Arches
	}
	result, err := mirror.Sync(ctx, to, []transport.Source{b}, o)
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.Mark(err, fault.Failed, fmt.Sprintf(
			"the bundle leaves out %d files that another mirror has; export one with --since and what `pkgtool repo bundle have` says here", b.LeftOut))
	}
	return result, err
}
