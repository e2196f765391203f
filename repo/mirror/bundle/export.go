package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo/mirror"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// Export writes the state of files to a bundle, without what have has. The same
// state and have give the same bytes.
func Export(ctx context.Context, w io.Writer, files *mirror.Files, have Have, progress func(mirror.Progress)) (*Header, error) {
	if progress == nil {
		progress = func(mirror.Progress) {}
	}
	h := &Header{Format: 1, Version: files.Version, Published: files.Published.UTC(), Channels: files.Settings.Channels, Arches: files.Settings.Arches}
	var objects []transport.Object
	for _, o := range files.Objects {
		if have.has(o.Path, o.Size) {
			h.LeftOut++
			continue
		}
		objects = append(objects, o)
		h.Files++
		h.Bytes += o.Size
	}
	for _, m := range files.Metadata {
		h.Files++
		h.Bytes += int64(len(m.Data))
	}
	out := tar.NewWriter(w)
	text, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	if err := put(out, headerName, int64(len(text)), bytes.NewReader(text)); err != nil {
		return nil, err
	}
	for _, m := range files.Metadata {
		if err := put(out, m.Path, int64(len(m.Data)), bytes.NewReader(m.Data)); err != nil {
			return nil, err
		}
	}
	p := mirror.Progress{TotalObjects: len(objects), TotalBytes: h.Bytes}
	for _, o := range objects {
		if err := putObject(ctx, out, files, o); err != nil {
			return nil, err
		}
		p.Objects, p.Bytes = p.Objects+1, p.Bytes+o.Size
		progress(p)
	}
	return h, out.Close()
}

// put writes one file, with nothing in its header that could differ between two runs.
func put(out *tar.Writer, name string, size int64, content io.Reader) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.Copy(out, content)
	return err
}

// putObject writes an object and proves it on the way. A bundle that fails here
// is thrown away.
func putObject(ctx context.Context, out *tar.Writer, files *mirror.Files, o transport.Object) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := files.Open(ctx, o)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if err := put(out, o.Path, o.Size, &proven{f, sum, o.Size}); err != nil {
		return fault.Mark(fmt.Errorf("%s: %w", o.Path, err), tuf.KindOf(err).Class(), "")
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != o.SHA256 {
		return fault.Mark(fmt.Errorf("%s: %w", o.Path, o.WrongSum(got)), fault.Security, tuf.Tampered.Hint())
	}
	return nil
}

// proven hashes what passes, and wants as many bytes as there should be.
type proven struct {
	r    io.Reader
	sum  hash.Hash
	left int64
}

func (p *proven) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.sum.Write(b[:n])
	p.left -= int64(n)
	if p.left < 0 || err == io.EOF && p.left > 0 {
		return 0, tuf.Refuse(tuf.Tampered, "the file is not as long as the index states")
	}
	return n, err
}
