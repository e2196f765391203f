package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"ashlar/pkgtool/abi"
	"ashlar/pkgtool/pkgfile"
)

// maxLibrary is the length in bytes up to which libraries are compared by what
// they export.
const maxLibrary = 512 << 20

// libraryChange is how one shared library differs for what is linked with it.
type libraryChange struct {
	Library     string `json:"library"`        // its soname, else its path
	From        string `json:"from,omitempty"` // path in the old package
	To          string `json:"to,omitempty"`   // path in the new package
	Breaks      bool   `json:"breaks"`         // what is linked with the old one may not work
	*abi.Change        // nil where one side has no such library
}

// foundLibrary is a library of one package.
type foundLibrary struct {
	path string
	*abi.Library
}

func (l *foundLibrary) name() string {
	if l.Soname != "" {
		return l.Soname
	}
	return l.path
}

// compareLibraries compares the shared libraries among changed files: those of
// the same path, then those of the same soname. Libraries without a soname
// count only where they lie in the folder of libraries: others are loaded by
// one program that comes along.
func compareLibraries(ctx context.Context, old, new *pkgfile.Package, changes []pkgfile.FileChange) ([]libraryChange, error) {
	var from, to []*foundLibrary
	list := []libraryChange{}
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before, err := libraryOf(old, c.From)
		if err != nil {
			return nil, err
		}
		after, err := libraryOf(new, c.To)
		if err != nil {
			return nil, err
		}
		if before != nil && after != nil {
			list = appendChange(list, before, after)
			continue
		}
		if before != nil {
			from = append(from, before)
		}
		if after != nil {
			to = append(to, after)
		}
	}
	for _, before := range from {
		var match *foundLibrary
		for i, after := range to {
			if after != nil && after.name() == before.name() {
				match, to[i] = after, nil
				break
			}
		}
		list = appendChange(list, before, match)
	}
	for _, after := range to {
		if after != nil {
			list = appendChange(list, nil, after)
		}
	}
	return list, nil
}

// appendChange adds what differs between two libraries, or that there is only
// one.
func appendChange(list []libraryChange, before, after *foundLibrary) []libraryChange {
	switch {
	case before == nil:
		return append(list, libraryChange{Library: after.name(), To: after.path})
	case after == nil:
		return append(list, libraryChange{Library: before.name(), From: before.path, Breaks: true})
	}
	c := abi.Compare(before.Library, after.Library)
	if c.Empty() {
		return list
	}
	return append(list, libraryChange{Library: before.name(), From: before.path, To: after.path, Breaks: c.Breaks(), Change: c})
}

// libraryOf returns a file as a shared library, or nil.
func libraryOf(p *pkgfile.Package, f *pkgfile.File) (*foundLibrary, error) {
	if f == nil || f.Type != pkgfile.TypeFile || f.Size < 64 || f.Size > maxLibrary || strings.HasPrefix(f.Path, "usr/lib/debug/") {
		return nil, nil
	}
	r, err := p.OpenFrameFile(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content := bytes.NewBuffer(make([]byte, 0, 64))
	if _, err := io.CopyN(content, r, 20); err != nil {
		return nil, fmt.Errorf("/%s: %w", f.Path, err)
	}
	if !abi.IsELF(content.Bytes()) {
		return nil, nil
	}
	if _, err := io.Copy(content, r); err != nil {
		return nil, fmt.Errorf("/%s: %w", f.Path, err)
	}
	library, err := abi.Read(bytes.NewReader(content.Bytes()))
	if errors.Is(err, abi.ErrNoLibrary) || err == nil && library.Soname == "" && strings.Count(f.Path, "/") != strings.Count("usr/lib/x", "/") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("/%s: %w", f.Path, err)
	}
	return &foundLibrary{f.Path, library}, nil
}

// printLibraries writes what differs in libraries.
func (d packageDiff) printLibraries(w io.Writer) {
	for _, l := range d.Libraries {
		verdict := "what is linked with it goes on working"
		if l.Breaks {
			verdict = "what is linked with it may not work any more"
		}
		switch {
		case l.Change == nil && l.To == "":
			fmt.Fprintf(w, "library %s is gone: %s\n", printable(l.Library), verdict)
			continue
		case l.Change == nil:
			fmt.Fprintf(w, "library %s is new\n", printable(l.Library))
			continue
		}
		fmt.Fprintf(w, "library %s: %s\n", printable(l.Library), verdict)
		if l.Soname != nil {
			fmt.Fprintf(w, "  ~ soname %s -> %s\n", shown(l.Soname.From), shown(l.Soname.To))
		}
		for _, part := range []struct {
			mark, what string
			names      []string
		}{
			{"-", "needs ", l.Needed.Removed}, {"+", "needs ", l.Needed.Added}, {"-", "set ", l.Sets.Removed}, {"+", "set ", l.Sets.Added},
			{"-", "", symbolNames(l.Removed)}, {"+", "", symbolNames(l.Added)},
		} {
			for _, name := range part.names {
				fmt.Fprintf(w, "  %s %s%s\n", part.mark, part.what, printable(name))
			}
		}
		for _, p := range l.Changed {
			fmt.Fprintf(w, "  ~ %s: %s -> %s\n", printable(p.From.String()), describeSymbol(p.From), describeSymbol(p.To))
		}
	}
}

func symbolNames(symbols []abi.Symbol) []string {
	names := make([]string, len(symbols))
	for i, s := range symbols {
		names[i] = s.String()
	}
	return names
}

// describeSymbol says what kind of thing a symbol is.
func describeSymbol(s abi.Symbol) string {
	text := s.Kind
	if s.Size > 0 {
		text += fmt.Sprintf(" of %d bytes", s.Size)
	}
	if s.Weak {
		text += ", weak"
	}
	if s.Hidden {
		text += ", no longer the default"
	}
	return text
}
