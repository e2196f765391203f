package newer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"ashlar/repo/index"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// ErrWhole is wrapped by errors that say that this way does not lead to the new
// index, while fetching the whole file may.
var ErrWhole = errors.New("the index is best fetched as a whole")

// worthwhile is the part of an index that, if more of it is missing, is not
// fetched by frames.
const worthwhile = 0.6

// grown is how much longer a table may be than the one before to come with the
// first request.
const grown = 2 << 10

// HasFrames tells whether an index can help to get another one.
func HasFrames(old []byte) bool {
	_, err := index.Table(old)
	return err == nil
}

// Fetch returns the index that o describes, given an older one that was
// verified. Its error wraps ErrWhole, or is the source's.
func Fetch(ctx context.Context, l transport.Limits, s transport.Source, o transport.Object, old []byte) ([]byte, error) {
	f := &fetch{limits: l, source: s, object: o, old: old, has: map[[32]byte]index.Frame{}}
	was, err := index.Table(old)
	if err != nil {
		return nil, fmt.Errorf("%w: the older one: %w", ErrWhole, err)
	}
	for _, frame := range was {
		f.has[frame.SHA256] = frame
	}
	data, err := f.run(ctx, was[0].Offset)
	if errors.Is(err, transport.ErrRange) || tuf.KindOf(err) != "" {
		err = fmt.Errorf("%w: %w", ErrWhole, err)
	}
	return data, err
}

type fetch struct {
	limits transport.Limits
	source transport.Source
	object transport.Object
	old    []byte
	has    map[[32]byte]index.Frame // frames of the older index

	data   []byte // the new index; what is not yet there is zero
	frames []index.Frame
	got    []bool // which frames are there
}

// wholeFile is the answer to a range by a server that does not do ranges.
type wholeFile struct{ data []byte }

func (w *wholeFile) Error() string { return "the server sent the whole file" }

func (f *fetch) run(ctx context.Context, guess int64) ([]byte, error) {
	err := f.assemble(ctx, guess)
	if whole := (*wholeFile)(nil); errors.As(err, &whole) {
		f.data, err = whole.data, nil
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(f.data); hex.EncodeToString(sum[:]) != f.object.SHA256 {
		return nil, f.object.WrongSum(hex.EncodeToString(sum[:]))
	}
	return f.data, nil
}

func (f *fetch) assemble(ctx context.Context, guess int64) error {
	begin, err := f.begin(ctx, min(guess+grown, f.object.Size))
	if err != nil {
		return err
	}
	if f.frames, err = index.Table(begin); err != nil {
		return fmt.Errorf("%w: %w", ErrWhole, err)
	}
	last := f.frames[len(f.frames)-1]
	if last.Offset+last.Size != f.object.Size {
		return fmt.Errorf("%w: its table is of a file of %d bytes", ErrWhole, last.Offset+last.Size)
	}
	f.data, f.got = make([]byte, f.object.Size), make([]bool, len(f.frames))
	copy(f.data, begin)
	var missing int64
	for i, frame := range f.frames {
		old, ok := f.has[frame.SHA256]
		switch {
		case ok && old.Size == frame.Size:
			copy(f.data[frame.Offset:], f.old[old.Offset:old.Offset+old.Size])
			f.got[i] = true
		case frame.Offset+frame.Size <= int64(len(begin)):
			f.got[i] = sha256.Sum256(f.frame(i)) == frame.SHA256
		}
		if !f.got[i] {
			missing += frame.Size
		}
	}
	if float64(missing) > worthwhile*float64(f.object.Size) {
		return fmt.Errorf("%w: %d of %d bytes are new", ErrWhole, missing, f.object.Size)
	}
	return f.fetchMissing(ctx)
}

func (f *fetch) frame(i int) []byte {
	return f.data[f.frames[i].Offset : f.frames[i].Offset+f.frames[i].Size]
}

// begin returns the first bytes of the file, size or as many as the table has.
func (f *fetch) begin(ctx context.Context, size int64) ([]byte, error) {
	begin := make([]byte, size)
	if err := f.read(ctx, begin, 0); err != nil {
		return nil, err
	}
	need, err := index.TableSize(begin)
	if err != nil || need > f.object.Size/2 {
		return nil, fmt.Errorf("%w: its table has %d bytes, %w", ErrWhole, need, err)
	}
	if need > size {
		begin = append(begin, make([]byte, need-size)...)
		err = f.read(ctx, begin[size:], size)
	}
	return begin, err
}

// fetchMissing asks for the frames that are not there, until all are there or
// the source fails.
func (f *fetch) fetchMissing(ctx context.Context) error {
	pieces := make([]transport.Piece, len(f.frames))
	var missing []int
	for i, frame := range f.frames {
		pieces[i] = transport.Piece{Offset: frame.Offset, Size: frame.Size}
		if !f.got[i] {
			missing = append(missing, i)
		}
	}
	for _, run := range transport.Runs(pieces, missing) {
		from := pieces[run.First].Offset
		if err := f.read(ctx, f.data[from:from+run.Bytes(pieces)], from); err != nil {
			return err
		}
		for i := run.First; i < run.End; i++ {
			if !f.got[i] && sha256.Sum256(f.frame(i)) != f.frames[i].SHA256 {
				return fmt.Errorf("%w: frame %d is not what its table says", ErrWhole, i)
			}
		}
	}
	return nil
}

// read fills into with the bytes of the file that begin at offset. What arrived
// before a connection broke is not asked for again.
func (f *fetch) read(ctx context.Context, into []byte, offset int64) error {
	for {
		before := len(into)
		err := f.limits.Retry(ctx, func() error {
			n, err := f.readOnce(ctx, into, offset)
			into, offset = into[n:], offset+int64(n)
			return err
		})
		if err == nil {
			return nil
		}
		// A source that breaks off again and again, but goes on, is good enough.
		if !transport.Passing(err) || ctx.Err() != nil || before-len(into) < transport.LeastProgress {
			return transport.Missing(err)
		}
	}
}

func (f *fetch) readOnce(ctx context.Context, into []byte, offset int64) (n int, err error) {
	if len(into) == 0 {
		return 0, nil
	}
	ctx, watch := transport.Watched(ctx, f.limits)
	defer watch.Stop()
	a, err := f.source.Span(ctx, f.object.Path, offset, offset+int64(len(into)), f.object.Size)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	body := transport.Counted(a.Body, watch)
	if a.Whole && (offset > 0 || int64(len(into)) < f.object.Size) {
		if a.Length >= 0 && a.Length != f.object.Size {
			return 0, tuf.Refuse(tuf.Tampered, "the file has %d bytes; %d were signed", a.Length, f.object.Size)
		}
		whole := make([]byte, f.object.Size)
		if _, err := io.ReadFull(body, whole); err != nil {
			return 0, brokenOff(ctx, err)
		}
		return 0, &wholeFile{whole}
	}
	n, err = io.ReadFull(body, into)
	if (err == io.EOF || err == io.ErrUnexpectedEOF) && ctx.Err() == nil && a.Length < 0 && a.Framed {
		return n, transport.ErrRange // it ends as the server meant, and early
	}
	return n, brokenOff(ctx, err)
}

func brokenOff(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = transport.ErrTruncated
	}
	return transport.CauseOf(ctx, err)
}
