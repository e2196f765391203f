package differences

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ofArchives compares static libraries member by member (ar of System V, as
// binutils write it).
func ofArchives(old, new []byte, depth int) ([]string, bool) {
	a, okA := members(old)
	b, okB := members(new)
	if !okA || !okB {
		return nil, false
	}
	return ofParts("member", a, b, depth), true
}

// members lists the members of an archive.
func members(data []byte) ([]part, bool) {
	rest, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	if !ok {
		return nil, false
	}
	var list []part
	var names []byte
	for len(rest) > 0 {
		if len(rest) < 60 || string(rest[58:60]) != "`\n" {
			return nil, false
		}
		field := func(from, to int) string { return strings.TrimRight(string(rest[from:to]), " ") }
		size, err := strconv.Atoi(field(48, 58))
		if err != nil || size < 0 || size > len(rest)-60 {
			return nil, false
		}
		p := part{name: field(0, 16), data: rest[60 : 60+size]}
		p.header = fmt.Sprintf("time %s, user %s, group %s, mode %s", field(16, 28), field(28, 34), field(34, 40), field(40, 48))
		switch {
		case p.name == "//":
			names = p.data
		case p.name == "/":
			p.name = "(symbol table)"
		case strings.HasPrefix(p.name, "/"):
			at, err := strconv.Atoi(p.name[1:])
			if err != nil || at < 0 || at >= len(names) {
				return nil, false
			}
			name, _, _ := strings.Cut(string(names[at:]), "/\n")
			p.name = name
		default:
			p.name = strings.TrimSuffix(p.name, "/")
		}
		list = append(list, p)
		rest = rest[60+size:]
		if size%2 == 1 && len(rest) > 0 {
			rest = rest[1:]
		}
	}
	return list, true
}

// ofELF compares programs, libraries and object files section by section.
func ofELF(old, new []byte, depth int) ([]string, bool) {
	a, okA := sections(old)
	b, okB := sections(new)
	if !okA || !okB {
		return nil, false
	}
	// Names of sections do not repeat in practice; those with text say more
	// than those with code, whose addresses follow from the rest.
	order := func(list []part) {
		slices.SortStableFunc(list, func(x, y part) int { return telling(x.name) - telling(y.name) })
	}
	order(a)
	order(b)
	lines := ofParts("section", a, b, maxDepth) // sections are no archives
	if len(lines) == 0 {
		lines = ofBytes(old, new)
	}
	return lines, true
}

// telling orders sections by how much a difference in them explains.
func telling(name string) int {
	for i, prefix := range []string{".comment", ".debug_line_str", ".debug_str", ".strtab", ".dynstr", ".rodata", ".go.buildinfo", ".data", ".text"} {
		if name == prefix || strings.HasPrefix(name, prefix+".") {
			return i
		}
	}
	return 100
}

// textSections hold strings that end in a zero byte.
var textSections = []string{".comment", ".debug_line_str", ".debug_str", ".strtab", ".dynstr", ".shstrtab"}

// sections lists the sections of an ELF file.
func sections(data []byte) (list []part, ok bool) {
	if !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		return nil, false
	}
	defer func() {
		if recover() != nil { // debug/elf promises nothing about hostile files
			list, ok = nil, false
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NULL {
			continue
		}
		p := part{name: s.Name, header: fmt.Sprintf("%v, %v, align %d", s.Type, s.Flags, s.Addralign)}
		if s.Type != elf.SHT_NOBITS && s.Offset+s.FileSize <= uint64(len(data)) && s.Offset <= s.Offset+s.FileSize {
			p.data = data[s.Offset : s.Offset+s.FileSize]
			if s.Flags&elf.SHF_COMPRESSED != 0 {
				if plain, err := s.Data(); err == nil {
					p.data = plain
				}
			}
		} else if s.Type == elf.SHT_NOBITS {
			p.header += fmt.Sprintf(", %d bytes", s.Size)
		}
		if slices.Contains(textSections, s.Name) && len(p.data) <= maxText {
			// As lines, so that the strings themselves are shown.
			p.data = bytes.ReplaceAll(p.data, []byte{0}, []byte{'\n'})
		}
		list = append(list, p)
	}
	return list, true
}
