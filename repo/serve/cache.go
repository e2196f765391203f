package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is kept in memory.
const (
	maxKept      = 64 << 10 // the longest file that is kept
	maxKeptBytes = 16 << 20 // of all files that are kept
	maxKeptFiles = 8192     // validators included, which have no bytes
	maxMetadata  = 8 << 20  // hashed for its ETag
	settled      = 100 * time.Millisecond
	forgetting   = time.Second // an object that was removed may be answered for so long
)

// object is a file as it is answered: its headers, and its content if it is small.
type object struct {
	id      identity
	tag     []string // ETag
	control []string // Cache-Control
	kind    []string // Content-Type
	length  []string // Content-Length
	content []byte   // nil: read the file

	seen atomic.Int64 // when its name last led to it, in nanoseconds; only of what never changes
}

// cache holds small files and the validators of metadata, under their names.
type cache struct {
	mu    sync.RWMutex
	files map[string]*object
	bytes int
}

// lookup returns what was kept under a name; whether that is still so has to
// be asked.
func (c *cache) lookup(name string) *object {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.files[name]
}

// keep adds an object. If that is too much others go, whichever come first:
// what is asked for often is back at once.
func (c *cache) keep(name string, o *object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files == nil {
		c.files = map[string]*object{}
	}
	c.remove(name)
	for other := range c.files {
		if c.bytes+len(o.content) <= maxKeptBytes && len(c.files) < maxKeptFiles {
			break
		}
		c.remove(other)
	}
	c.files[name] = o
	c.bytes += len(o.content)
}

func (c *cache) remove(name string) {
	if o := c.files[name]; o != nil {
		c.bytes -= len(o.content)
		delete(c.files, name)
	}
}

// isCurrent reports whether the object still is what its name leads to. Of a
// name that never gets another content it is enough to know that it was so just
// now.
func (o *object) isCurrent(f folder, name string, now time.Time) bool {
	if o.seen.Load()+int64(forgetting) > now.UnixNano() {
		return true
	}
	if !f.is(name, &o.id) {
		return false
	}
	if &o.control[0] == &forEver[0] {
		o.seen.Store(now.UnixNano())
	}
	return true
}

// find returns the object of a name. The file is nil if the object has the
// content; otherwise the caller closes it.
func (s *Server) find(name string, now time.Time) (*object, *os.File, error) {
	kept := s.cache.lookup(name)
	if kept != nil && kept.content != nil && kept.isCurrent(s.folder, name, now) {
		return kept, nil, nil
	}
	f, id, err := s.folder.open(name)
	if err != nil {
		return nil, nil, err
	}
	if kept != nil && kept.id == id && kept.content == nil {
		return kept, f, nil
	}
	o, err := read(f, name, id)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	// A file that changed just now could change again under the same time.
	if age := now.Sub(time.Unix(id.changed.Unix())); age > settled && (o.content != nil || kindOf("/"+name) <= kindMetadata) {
		s.cache.keep(name, o)
	}
	if o.content != nil {
		f.Close()
		f = nil
	}
	return o, f, nil
}

// read makes the object of an open file.
func read(f *os.File, name string, id identity) (*object, error) {
	folder, base := path.Split(name)
	o := &object{id: id, kind: contentType(base), control: revalidate, length: []string{strconv.FormatInt(id.size, 10)}}
	named := objectName.FindStringSubmatch(base)
	if folder == "metadata/" {
		named = nil
	}
	if named != nil || versionedName.MatchString(base) {
		o.control = forEver
	}
	if id.size <= maxKept {
		content := make([]byte, id.size)
		if _, err := io.ReadFull(f, content); err != nil {
			return nil, err
		}
		o.content = content
	}
	switch {
	case named != nil:
		o.tag = []string{`"` + named[1] + `"`}
	case o.content != nil:
		sum := sha256.Sum256(o.content)
		o.tag = []string{`"` + hex.EncodeToString(sum[:]) + `"`}
	case id.size <= maxMetadata: // longer ones, which no repository has, go without
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return nil, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		o.tag = []string{`"` + hex.EncodeToString(sum.Sum(nil)) + `"`}
	}
	return o, nil
}
