package mirror

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ashlar/repo/store"
	"ashlar/repo/transport"

	"github.com/klauspost/compress/zstd"
)

// Files of the list of what a mirror holds. What a run is bringing is noted in
// arrivingPath before it comes; the whole list follows at the end.
const (
	listPath     = ".ashlar/mirror-objects.zst"
	arrivingPath = ".ashlar/mirror-arriving.zst"
)

const (
	maxList      = 256 << 20 // compressed; a million objects take some 40 MiB
	maxListPlain = 1 << 30
	maxListLine  = 4 << 10
)

// held is an object that a run has brought, or is about to.
type held struct {
	size    int64
	refs    int   // how many lines of the state name it
	present bool  // proven and durable; otherwise it may be there, in part or not at all
	retired int64 // when no line named it any more, Unix time; counts while refs is 0
}

// list is what a mirror holds. The counts are those of the indexes in base, so
// that a new state changes them by no more than the difference.
type list struct {
	base    map[string]string // index target to its sha256
	objects map[string]held
}

func newList() *list { return &list{map[string]string{}, map[string]held{}} }

// listHeader is the first line of the file.
type listHeader struct {
	Format int               `json:"ashlar_mirror_objects"`
	Base   map[string]string `json:"base"`
}

// encode writes the list: the header, then a line for each object, by path.
func (l *list) encode() ([]byte, error) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(listHeader{1, l.base})
	if err != nil {
		return nil, err
	}
	line := append(header, '\n')
	for _, path := range slices.Sorted(maps.Keys(l.objects)) {
		if _, err := z.Write(line); err != nil {
			return nil, err
		}
		o := l.objects[path]
		mark := byte('-')
		if o.present {
			mark = '+'
		}
		line = append(line[:0], mark, ' ')
		line = append(strconv.AppendInt(line, int64(o.refs), 10), ' ')
		line = append(strconv.AppendInt(line, o.retired, 10), ' ')
		line = append(strconv.AppendInt(line, o.size, 10), ' ')
		line = append(append(line, path...), '\n')
	}
	if _, err := z.Write(line); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decodeList reads what encode wrote.
func decodeList(data []byte) (*list, error) {
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	lines := bufio.NewScanner(io.LimitReader(z, maxListPlain))
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	if !lines.Scan() {
		return nil, cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
	}
	var h listHeader
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Format != 1 {
		return nil, fmt.Errorf("not a list of format 1: %w", err)
	}
	l := newList()
	maps.Copy(l.base, h.Base)
	for lines.Scan() {
		path, o, err := parseHeld(lines.Text())
		if err != nil {
			return nil, err
		}
		l.objects[path] = o
	}
	return l, lines.Err()
}

func parseHeld(line string) (path string, o held, err error) {
	fields := strings.SplitN(line, " ", 5)
	if len(line) > maxListLine || len(fields) != 5 || fields[0] != "+" && fields[0] != "-" {
		return "", o, fmt.Errorf("invalid line %.100q", line)
	}
	refs, err1 := strconv.ParseUint(fields[1], 10, 31)
	retired, err2 := strconv.ParseInt(fields[2], 10, 64)
	size, err3 := strconv.ParseUint(fields[3], 10, 62)
	if err := errors.Join(err1, err2, err3, store.CheckPath(fields[4])); err != nil {
		return "", o, fmt.Errorf("invalid line %.100q: %w", line, err)
	}
	return fields[4], held{int64(size), int(refs), fields[0] == "+", retired}, nil
}

// readList reads the list and what an interrupted run has left. A list that is
// missing or damaged is an empty one: everything is looked at again then.
func readList(ctx context.Context, l transport.Limits, s transport.Source) (*list, error) {
	whole, err := readListFile(ctx, l, s, listPath)
	if err != nil {
		return nil, err
	}
	arriving, err := readListFile(ctx, l, s, arrivingPath)
	if err != nil {
		return nil, err
	}
	for path, o := range arriving.objects {
		if known, ok := whole.objects[path]; ok {
			known.present = o.present // the newer word
			o = known
		}
		whole.objects[path] = o
	}
	return whole, nil
}

func readListFile(ctx context.Context, l transport.Limits, s transport.Source, path string) (*list, error) {
	data, err := l.ReadFile(ctx, s, path, maxList, -1)
	if errors.Is(err, fs.ErrNotExist) {
		return newList(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s, path, err)
	}
	if decoded, err := decodeList(data); err == nil {
		return decoded, nil
	}
	return newList(), nil
}

func (l *list) write(ctx context.Context, s store.Store, path string) error {
	data, err := l.encode()
	if err != nil {
		return err
	}
	return s.PutBytes(ctx, path, data)
}

func (l *list) has(path string) bool { return l.objects[path].present }

// set notes whether an object is there.
func (l *list) set(path string, size int64, present bool, now time.Time) {
	o, ok := l.objects[path]
	if !ok {
		o.retired = now.Unix() // until a state that names it is shown
	}
	o.size, o.present = size, present
	l.objects[path] = o
}

// count replaces the counts by those of a state that is shown now.
func (l *list) count(p *plan, now time.Time) {
	for path, o := range l.objects {
		refs := p.refsOf(path, o)
		if refs == 0 && o.refs > 0 {
			o.retired = now.Unix()
		}
		o.refs = refs
		l.objects[path] = o
	}
	l.base = p.base
}
