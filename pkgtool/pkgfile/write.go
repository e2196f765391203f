package pkgfile

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/signing"

	"golang.org/x/sync/errgroup"
)

// Input is one file to put into a package. The writer fills in SHA256, Frame
// and Offset, and Size, which need not be given: content of more than 4 MiB
// whose size is neither given nor known to its reader's Stat is read twice.
type Input struct {
	File
	// Open returns the content of a file; for other types it is not called.
	Open func() (io.ReadCloser, error)
}

// Options of Write. The zero value writes an unsigned package.
type Options struct {
	Compression string                // one of Compressions; "" means zstd
	Level       int                   // of zstd, 1 to 22; 0 means DefaultLevel
	Signers     []*signing.PrivateKey // each adds a signature
	SpoolDir    string                // for a temporary file as long as the package; "" means the system's
	Jobs        int                   // frames compressed at a time; 0 means one per core. It does not change the output
}

// Write writes a package with m's fields and the inputs' files, and returns the
// complete manifest. Inputs may come in any order; of the names of one hard
// linked file, the first in path order becomes the file. The lists of m are
// sorted. Nothing is written to w before all inputs are read and good.
//
// Memory does not grow with the size of the files. Wrong inputs are of class
// fault.Usage.
func Write(ctx context.Context, w io.Writer, m Manifest, inputs []Input, opts Options) (*Manifest, error) {
	m = normalized(m)
	kind, err := codecNamed(opts.Compression)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("package %s: %w", m.Name, err), fault.Usage, "")
	}
	inputs, err = orderInputs(inputs)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("package %s: %w", m.Name, err), fault.Usage, "")
	}
	data := &spool{dir: opts.SpoolDir}
	defer data.discard()
	if err := writeData(ctx, data, &m, inputs, kind, opts); err != nil {
		return nil, fmt.Errorf("package %s: %w", m.Name, err)
	}
	if err := m.validate(); err != nil {
		return nil, fault.Mark(fmt.Errorf("package %s: %w", m.Name, err), fault.Usage, "")
	}
	raw, err := m.encode()
	if err != nil {
		return nil, fmt.Errorf("package %s: encode manifest: %w", m.Name, err)
	}
	signatures, err := sign(&m, raw, opts.Signers)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", m.Name, err)
	}
	meta, err := encodeMeta(kind, raw, signatures)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", m.Name, err)
	}
	if _, err := w.Write(meta); err != nil {
		return nil, fmt.Errorf("package %s: write: %w", m.Name, err)
	}
	if err := data.copyTo(w); err != nil {
		return nil, fmt.Errorf("package %s: write: %w", m.Name, err)
	}
	return &m, nil
}

// normalized returns m without what the writer fills in, lists in canonical
// order, sharing no memory with m.
func normalized(m Manifest) Manifest {
	m.Format = FormatVersion
	m.Files, m.Frames, m.InstalledSize = nil, nil, 0
	for _, list := range []*[]string{&m.Requires, &m.Conflicts, &m.Replaces, &m.Recommends, &m.Supplements} {
		*list = canonicalList(*list, canonicalDependency)
	}
	m.Provides = canonicalList(m.Provides, canonicalProvide)
	m.Triggers = canonicalTriggers(m.Triggers)
	m.Provenance.Sources = slices.Clone(m.Provenance.Sources)
	return m
}

// orderInputs sorts by path, gives each hard linked file to its first name, and
// checks all that can be checked before any content is read.
func orderInputs(inputs []Input) ([]Input, error) {
	inputs = slices.Clone(inputs)
	index := make(map[string]int, len(inputs))
	for i := range inputs {
		in := &inputs[i]
		if _, twice := index[in.Path]; twice {
			return nil, fmt.Errorf("file %.200q is given twice", in.Path)
		}
		index[in.Path] = i
		in.SHA256, in.Frame, in.Offset = "", 0, 0
		in.Xattrs = maps.Clone(in.Xattrs)
		if len(in.Xattrs) == 0 {
			in.Xattrs = nil
		}
		if in.Type != TypeFile {
			in.Size = 0
		}
	}
	first := map[string]string{} // linked file -> its first name
	for _, in := range inputs {
		if in.Type != TypeHardlink {
			continue
		}
		t, ok := index[in.Target]
		if !ok || inputs[t].Type != TypeFile {
			return nil, fmt.Errorf("file %.200q: hard link to %.200q, which is not a file of this package", in.Path, in.Target)
		}
		if name, ok := first[in.Target]; !ok || in.Path < name {
			first[in.Target] = min(in.Path, in.Target)
		}
	}
	for i := range inputs {
		in := &inputs[i]
		switch {
		case in.Type == TypeHardlink && first[in.Target] == in.Path:
			path, file := in.Path, inputs[index[in.Target]]
			*in = file
			in.Path = path
		case in.Type == TypeHardlink:
			*in = Input{File: File{Path: in.Path, Type: TypeHardlink, Target: first[in.Target]}}
		}
	}
	for target, name := range first {
		if name != target {
			inputs[index[target]] = Input{File: File{Path: target, Type: TypeHardlink, Target: name}}
		}
	}
	slices.SortFunc(inputs, func(a, b Input) int { return cmp.Compare(a.Path, b.Path) })
	for i := range inputs {
		f := inputs[i].File
		if f.Type == TypeFile {
			f.SHA256 = emptySHA256 // not known yet
			if inputs[i].Open == nil {
				return nil, fmt.Errorf("file %.200q: no content given", f.Path)
			}
		}
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("file %.200q: %w", f.Path, err)
		}
	}
	return inputs, nil
}

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// frameWriter fills frames and compresses them, several at a time, into the
// spool in order.
type frameWriter struct {
	ctx        context.Context
	compressor compressor
	group      *errgroup.Group
	queue      chan chan compressed
	buf        []byte
	free       chan []byte
}

type compressed struct {
	data []byte
	buf  []byte
}

func writeData(ctx context.Context, data *spool, m *Manifest, inputs []Input, kind codec, opts Options) error {
	jobs := opts.Jobs
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	c, err := kind.compressor(opts.Level)
	if err != nil {
		return fault.Mark(err, fault.Usage, "")
	}
	defer c.close()
	group, ctx := errgroup.WithContext(ctx)
	w := &frameWriter{ctx: ctx, compressor: c, group: group,
		queue: make(chan chan compressed, jobs), free: make(chan []byte, jobs+2),
		buf: make([]byte, 0, SmallFrame+trailerSize)}
	group.Go(func() error { return w.collect(data, m) })
	group.Go(func() error {
		defer close(w.queue)
		return w.members(m, inputs)
	})
	return group.Wait()
}

// collect writes finished frames in order.
func (w *frameWriter) collect(data *spool, m *Manifest) error {
	for result := range w.queue {
		var c compressed
		select {
		case c = <-result:
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
		m.Frames = append(m.Frames, Frame{Offset: data.size, SHA256: hexSum(c.data), Size: int64(len(c.data)), USize: int64(len(c.buf))})
		if _, err := data.Write(c.data); err != nil {
			return err
		}
		select {
		case w.free <- c.buf[:0]:
		default:
		}
	}
	return nil
}

// emit hands the buffer over for compression and takes a free one.
func (w *frameWriter) emit() error {
	buf, result := w.buf, make(chan compressed, 1)
	select {
	case w.queue <- result:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	w.group.Go(func() error {
		data, err := w.compressor.compress(buf)
		if err == nil {
			result <- compressed{data, buf}
		}
		return err
	})
	select {
	case w.buf = <-w.free:
	default:
		w.buf = make([]byte, 0, SmallFrame+trailerSize)
	}
	return nil
}

// members writes every input's tar member, filling m's file table.
func (w *frameWriter) members(m *Manifest, inputs []Input) error {
	var p packer
	byPath := map[string]int{}
	for i := range inputs {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		in := &inputs[i]
		m.Files = append(m.Files, in.File)
		f := &m.Files[i]
		byPath[f.Path] = i
		attr := f
		if f.Type == TypeHardlink {
			attr = &m.Files[byPath[f.Target]]
		}
		var content *inputContent
		if f.Type == TypeFile {
			var err error
			if content, err = openInput(in); err != nil {
				return fmt.Errorf("file %.200q: %w", f.Path, err)
			}
			f.Size = content.size
		}
		header := tarHeader(f, attr, m.Provenance.Epoch)
		frame, offset, flush, big := p.place(i, int64(len(header))+f.Size+padding(f.Size))
		if f.Size > 0 {
			f.Frame, f.Offset = frame, offset+int64(len(header))
			m.InstalledSize += f.Size
		}
		err := w.member(header, content, f, flush, big)
		if content != nil {
			content.close()
		}
		if err != nil {
			return fmt.Errorf("file %.200q: %w", f.Path, err)
		}
	}
	p.finish(len(inputs))
	w.buf = append(w.buf, make([]byte, trailerSize)...)
	return w.emit()
}

func (w *frameWriter) member(header []byte, content *inputContent, f *File, flush, big bool) error {
	if flush {
		if err := w.emit(); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, header...)
	if content != nil {
		if err := content.copy(w); err != nil {
			return err
		}
		f.SHA256 = hex.EncodeToString(content.sum.Sum(nil))
		w.buf = append(w.buf, make([]byte, padding(f.Size))...)
	}
	if big && len(w.buf) > 0 {
		return w.emit()
	}
	return nil
}

// inputContent is the opened content of a file with its size.
type inputContent struct {
	r    io.ReadCloser
	size int64
	sum  hash.Hash
	head []byte // already read
}

func openInput(in *Input) (*inputContent, error) {
	r, err := in.Open()
	if err != nil {
		return nil, err
	}
	c := &inputContent{r: r, size: in.Size, sum: sha256.New()}
	if s, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := s.Stat(); err == nil && info.Mode().IsRegular() {
			c.size = info.Size()
		}
	}
	if c.size == 0 { // unknown, or empty
		if err := c.measure(in); err != nil {
			r.Close()
			return nil, err
		}
	}
	if c.size > maxFileSize {
		r.Close()
		return nil, fmt.Errorf("%d bytes, more than the %d a package can hold in one file", c.size, int64(maxFileSize))
	}
	return c, nil
}

// measure finds the size of the content: by keeping what is short, by reading
// twice what is long.
func (c *inputContent) measure(in *Input) error {
	var head bytes.Buffer
	n, err := io.CopyN(&head, c.r, bigFrame)
	if err == io.EOF {
		c.size, c.head = n, head.Bytes()
		return nil
	}
	if err != nil {
		return err
	}
	rest, err := io.Copy(io.Discard, io.LimitReader(c.r, maxFileSize))
	if err != nil {
		return err
	}
	c.r.Close()
	c.size = n + rest
	c.r, err = in.Open()
	return err
}

// copy puts the content through w's buffer, cutting frames at bigFrame.
func (c *inputContent) copy(w *frameWriter) error {
	r := io.MultiReader(bytes.NewReader(c.head), c.r)
	for left := c.size; left > 0; {
		n := int(min(left, int64(bigFrame-len(w.buf)), 256<<10))
		w.buf = slices.Grow(w.buf, n)
		part := w.buf[len(w.buf) : len(w.buf)+n]
		if _, err := io.ReadFull(r, part); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return errors.New("shrank while it was packed")
			}
			return err
		}
		c.sum.Write(part)
		w.buf = w.buf[:len(w.buf)+n]
		left -= int64(n)
		if len(w.buf) == bigFrame {
			if err := w.emit(); err != nil {
				return err
			}
		}
	}
	var one [1]byte
	if n, err := r.Read(one[:]); n > 0 || err != nil && err != io.EOF {
		return cmp.Or(err, errors.New("grew while it was packed, or its size was given wrong"))
	}
	return nil
}

func (c *inputContent) close() { c.r.Close() }

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sign returns a signature per key over the manifest's bytes. It bears the
// package's epoch, or the key's creation if that is later.
func sign(m *Manifest, raw []byte, keys []*signing.PrivateKey) (map[string][]byte, error) {
	signatures := map[string][]byte{}
	for _, key := range keys {
		signature, err := key.SignAt(raw, time.Unix(m.Provenance.Epoch, 0))
		if err != nil {
			return nil, err
		}
		signatures[key.Fingerprint()] = signature
	}
	return signatures, nil
}
