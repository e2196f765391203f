package bundle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo/mirror"
	"ashlar/repo/store"
	"ashlar/repo/transport"

	"github.com/klauspost/compress/zstd"
)

// Have is what a mirror has: sizes by path. Names are given by content, so that
// this says enough.
type Have map[string]int64

func (h Have) has(path string, size int64) bool {
	got, ok := h[path]
	return ok && got == size
}

// haveHeader is the first line of a have file.
type haveHeader struct {
	Format int `json:"ashlar_have"`
	Files  int `json:"files"`
}

const (
	maxHave      = 256 << 20
	maxHavePlain = 1 << 30
)

// HaveOf asks a mirror what it has.
func HaveOf(ctx context.Context, s transport.Source, l transport.Limits) (Have, error) {
	known, err := mirror.IsMirror(ctx, s, l)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, fault.Mark(fmt.Errorf("%s is no mirror", s), fault.Usage, "the first bundle has to hold everything: export it without --since")
	}
	h := Have{}
	return h, mirror.Held(ctx, s, l, func(path string, size int64) { h[path] = size })
}

// Encode writes a have file: zstd, a line of JSON, then a line "size path" for
// each file, by path.
func (h Have) Encode() ([]byte, error) {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(haveHeader{1, len(h)}); err != nil {
		return nil, err
	}
	for _, path := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(&text, "%d %s\n", h[path], path)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return z.EncodeAll(text.Bytes(), nil), nil
}

// DecodeHave reads what Encode wrote.
func DecodeHave(data []byte) (Have, error) {
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	lines := bufio.NewScanner(io.LimitReader(z, maxHavePlain))
	if !lines.Scan() {
		return nil, errors.Join(errors.New("no have file"), lines.Err())
	}
	var header haveHeader
	if err := json.Unmarshal(lines.Bytes(), &header); err != nil || header.Format != 1 {
		return nil, errors.New("no have file of format 1")
	}
	h := Have{}
	for lines.Scan() {
		size, path, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseUint(size, 10, 62)
		if err := errors.Join(err, store.CheckPath(path)); err != nil {
			return nil, fmt.Errorf("have file, line %d: %w", len(h)+2, err)
		}
		h[path] = int64(n)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(h) != header.Files {
		return nil, fmt.Errorf("the have file lists %d files, and should list %d: it is cut off", len(h), header.Files)
	}
	return h, nil
}

// ReadHave finds out what the receiver of a bundle has: from a have file, an
// earlier bundle, or a folder with a copy of the mirror.
func ReadHave(ctx context.Context, path string) (Have, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return haveOfFolder(ctx, path)
	}
	if b, err := Open(path); err == nil {
		defer b.Close()
		h := Have{}
		for name, m := range b.members {
			h[name] = m.size
		}
		return h, nil
	}
	data, err := transport.ReadSmall(path, maxHave)
	if err != nil {
		return nil, err
	}
	h, err := DecodeHave(data)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "give what `pkgtool repo bundle have` wrote, an earlier bundle, or a folder")
	}
	return h, nil
}

func haveOfFolder(ctx context.Context, path string) (Have, error) {
	dir, err := store.OpenDir(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	h := Have{}
	err = dir.List(ctx, "", func(f store.File) error {
		if f.Size >= 0 {
			h[f.Path] = f.Size
		}
		return nil
	})
	if err == nil && len(h) == 0 {
		err = fmt.Errorf("%s is empty: %w", path, fs.ErrNotExist)
	}
	return h, err
}
