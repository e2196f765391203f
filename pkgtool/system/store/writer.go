package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// Writer takes the content of one object.
type Writer struct {
	s     *Store
	o     *Object
	key   Key
	mtime int64
	dir   int
	path  string
	file  rawFile
	sum   hash.Hash
	size  int64
	err   error
}

// Create begins an object whose content nobody has verified; Writer.Close does.
// Until then others who want to make the same object wait, so close the writer
// in any case. An object that is there is fine: what is written then is only
// verified.
func (s *Store) Create(o *Object, mtime int64) (*Writer, error) {
	w := &Writer{s: s, o: o, key: o.Key(), mtime: mtime, file: there, sum: sha256.New()}
	if o.Size == 0 {
		return w, nil
	}
	s.claim(w.key)
	var err error
	if w.dir, w.path, w.file, err = s.start(o, w.key); err != nil {
		s.release(w.key)
		return nil, err
	}
	return w, nil
}

// Write adds content.
func (w *Writer) Write(data []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.size += int64(len(data)); w.size > w.o.Size {
		w.err = fmt.Errorf("object %s: more than the %d bytes it should have: %w", w.o.SHA256, w.o.Size, ErrDiffers)
		return 0, w.err
	}
	w.sum.Write(data)
	if w.file == there {
		return len(data), nil
	}
	var n int
	n, w.err = w.file.Write(data)
	return n, w.err
}

// Close completes the object, or removes it and returns an error if a Write
// failed or the content is not the object's (ErrDiffers).
func (w *Writer) Close() error {
	err := w.err
	if err == nil && (w.size != w.o.Size || hex.EncodeToString(w.sum.Sum(nil)) != w.o.SHA256) {
		err = fmt.Errorf("object %s: the content's sha256 is another: %w", w.o.SHA256, ErrDiffers)
	}
	if w.file != there {
		err = w.s.finish(w.o, w.mtime, w.dir, w.path, w.file, err)
	}
	if w.o.Size != 0 {
		w.s.release(w.key)
	}
	return err
}
