package cases

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"

	"golang.org/x/sync/errgroup"
)

const (
	// maxLine bounds one package in bytes.
	maxLine = 16 << 20
	// maxPackages bounds a universe.
	maxPackages = 5_000_000
	// batch is how many bytes of lines are read at a time.
	batch = 256 << 10
	// maxNotes bounds the remarks about one universe.
	maxNotes = 20
)

// Universe is what a file of packages says.
type Universe struct {
	Packages []*solver.Package
	Notes    []string // what was read but means nothing, the first few

	spelled map[*solver.Package]string // versions that are not written canonically
	own     map[*solver.Package]bool   // packages that state a priority of their own
}

// ReadUniverse reads packages, one JSON object per line. Lines that are empty or
// begin with # are passed over. The error is of class fault.Usage and names the
// line.
func ReadUniverse(r io.Reader) ([]*solver.Package, error) {
	u, err := readUniverse(r, "universe")
	if err != nil {
		return nil, err
	}
	return u.Packages, nil
}

// piece is a number of whole lines, and then what they say.
type piece struct {
	text  []byte
	first int // the number of the first line

	universe Universe
	err      error
	done     chan struct{}
}

// readUniverse decodes on all cores and keeps the order of the lines.
func readUniverse(r io.Reader, name string) (*Universe, error) {
	group, ctx := errgroup.WithContext(context.Background())
	workers := runtime.GOMAXPROCS(0)
	todo, ordered := make(chan *piece, workers), make(chan *piece, 2*workers)
	group.Go(func() error {
		defer close(todo)
		defer close(ordered)
		return cut(ctx, r, name, todo, ordered)
	})
	for range workers {
		group.Go(func() error {
			decode := newDecoder()
			for p := range todo {
				p.err = decode.lines(p, name)
				p.text = nil
				close(p.done)
			}
			return nil
		})
	}
	all := &Universe{spelled: map[*solver.Package]string{}, own: map[*solver.Package]bool{}}
	group.Go(func() error {
		for p := range ordered {
			<-p.done
			if p.err != nil {
				return p.err
			}
			if len(all.Packages)+len(p.universe.Packages) > maxPackages {
				return fault.Errorf(fault.Usage, "%s has more than %d packages", name, maxPackages)
			}
			all.add(&p.universe)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return all, nil
}

func (u *Universe) add(more *Universe) {
	u.Packages = append(u.Packages, more.Packages...)
	u.Notes = append(u.Notes, more.Notes[:min(len(more.Notes), maxNotes-len(u.Notes))]...)
	for p, text := range more.spelled {
		u.spelled[p] = text
	}
	for p := range more.own {
		u.own[p] = true
	}
}

// cut reads whole lines, a batch at a time, and hands them out twice: to be
// decoded, and in order.
func cut(ctx context.Context, r io.Reader, name string, todo, ordered chan<- *piece) error {
	reader := bufio.NewReaderSize(r, batch)
	line := 1
	for {
		text := make([]byte, batch)
		n, err := io.ReadFull(reader, text)
		text = text[:n]
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return fmt.Errorf("read %s: %w", name, err)
		}
		for !end && !bytes.HasSuffix(text, []byte("\n")) {
			rest, err := reader.ReadSlice('\n')
			text = append(text, rest...)
			end = errors.Is(err, io.EOF)
			if err != nil && !end && !errors.Is(err, bufio.ErrBufferFull) {
				return fmt.Errorf("read %s: %w", name, err)
			}
			if len(text)-bytes.LastIndexByte(text, '\n') > maxLine {
				return fault.Errorf(fault.Usage, "%s:%d: the line is longer than %d bytes", name, line+bytes.Count(text, []byte("\n")), maxLine)
			}
		}
		p := &piece{text: text, first: line, done: make(chan struct{})}
		line += bytes.Count(text, []byte("\n"))
		for _, to := range []chan<- *piece{ordered, todo} {
			select {
			case to <- p:
			case <-ctx.Done():
				return nil // somebody else has failed and tells
			}
		}
		if end {
			return nil
		}
	}
}

// lines decodes the lines of a piece.
func (d *decoder) lines(p *piece, name string) error {
	p.universe.spelled, p.universe.own = map[*solver.Package]string{}, map[*solver.Package]bool{}
	number := p.first
	for line := range bytes.SplitSeq(p.text, []byte("\n")) {
		trimmed := bytes.TrimSpace(line)
		if number == 1 {
			trimmed = bytes.TrimPrefix(trimmed, []byte("\xef\xbb\xbf"))
		}
		if len(trimmed) > 0 && trimmed[0] != '#' {
			if len(trimmed) > maxLine {
				return fault.Errorf(fault.Usage, "%s:%d: the line is longer than %d bytes", name, number, maxLine)
			}
			note, err := d.line(trimmed, &p.universe)
			if err != nil {
				return fault.Mark(fmt.Errorf("%s:%d: %w", name, number, err), fault.Usage, "")
			}
			if note != "" && len(p.universe.Notes) < maxNotes {
				p.universe.Notes = append(p.universe.Notes, fmt.Sprintf("%s:%d: %s", name, number, note))
			}
		}
		number++
	}
	return nil
}
