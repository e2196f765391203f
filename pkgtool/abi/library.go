package abi

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ErrNoLibrary is the error for files that are no shared library: text,
// programs, object files.
var ErrNoLibrary = errors.New("not a shared library")

// Library is what programs can see of a shared library. Its lists are sorted.
type Library struct {
	Soname  string   `json:"soname,omitempty"` // "" for one that is loaded by its path
	Needed  []string `json:"needed,omitempty"` // libraries that come along, by soname
	Sets    []string `json:"sets,omitempty"`   // names of versions of symbols that it defines
	Symbols []Symbol `json:"symbols,omitempty"`
}

// Symbol is something that a library exports.
type Symbol struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"` // the set it is in
	Hidden  bool   `json:"hidden,omitempty"`  // an old version, which nothing is linked with any more
	Kind    string `json:"kind"`              // function, resolver, object, tls, none
	Weak    bool   `json:"weak,omitempty"`
	Size    uint64 `json:"size,omitempty"` // in bytes, of data only: programs may hold a copy
}

// String is the symbol as nm writes it: name@set, or name@@set for what is
// linked with now.
func (s Symbol) String() string {
	switch {
	case s.Version == "":
		return s.Name
	case s.Hidden:
		return s.Name + "@" + s.Version
	}
	return s.Name + "@@" + s.Version
}

// IsELF reports whether a file begins as programs, libraries and object files
// do; four bytes of it are enough.
func IsELF(head []byte) bool { return len(head) >= 4 && string(head[:4]) == elf.ELFMAG }

// Read returns what can be seen of a shared library, or [ErrNoLibrary].
func Read(r io.ReaderAt) (library *Library, err error) {
	// debug/elf is made for what a compiler writes, and documents that other
	// files can make it panic.
	defer func() {
		if p := recover(); p != nil {
			library, err = nil, fmt.Errorf("damaged ELF file: %v", p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		var format *elf.FormatError
		if errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, ErrNoLibrary
		}
		return nil, err
	}
	if f.Type != elf.ET_DYN || f.SectionByType(elf.SHT_DYNAMIC) == nil {
		return nil, ErrNoLibrary
	}
	library = &Library{}
	names, err := f.DynString(elf.DT_SONAME)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		library.Soname = names[0]
	} else if isProgram(f) {
		return nil, ErrNoLibrary
	}
	if library.Needed, err = f.ImportedLibraries(); err != nil {
		return nil, err
	}
	slices.Sort(library.Needed)
	if f.SectionByType(elf.SHT_GNU_VERSYM) != nil {
		sets, err := f.DynamicVersions()
		if err != nil {
			return nil, err
		}
		for _, set := range sets {
			if set.Flags&elf.VER_FLG_BASE == 0 {
				library.Sets = append(library.Sets, set.Name)
			}
		}
		slices.Sort(library.Sets)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, err
	}
	for _, s := range symbols {
		if exported, ok := export(s); ok {
			library.Symbols = append(library.Symbols, exported)
		}
	}
	slices.SortFunc(library.Symbols, func(a, b Symbol) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), strings.Compare(a.Kind, b.Kind))
	})
	return library, nil
}

// isProgram tells position-independent programs from libraries.
func isProgram(f *elf.File) bool {
	flags, err := f.DynValue(elf.DT_FLAGS_1)
	if err == nil && len(flags) > 0 && elf.DynFlag1(flags[0])&elf.DF_1_PIE != 0 {
		return true
	}
	return slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// kinds are the types of symbols by the names used here.
var kinds = map[elf.SymType]string{
	elf.STT_NOTYPE: "none", elf.STT_OBJECT: "object", elf.STT_COMMON: "object",
	elf.STT_FUNC: "function", elf.STT_TLS: "tls", elf.STT_GNU_IFUNC: "resolver",
}

// export returns a symbol as others see it; ok is false for what only the
// library itself sees.
func export(s elf.Symbol) (symbol Symbol, ok bool) {
	bind, kind := elf.ST_BIND(s.Info), kinds[elf.ST_TYPE(s.Info)]
	visibility := elf.ST_VISIBILITY(s.Other)
	if s.Section == elf.SHN_UNDEF || bind == elf.STB_LOCAL || kind == "" || visibility == elf.STV_HIDDEN || visibility == elf.STV_INTERNAL {
		return Symbol{}, false
	}
	symbol = Symbol{Name: s.Name, Kind: kind, Weak: bind == elf.STB_WEAK}
	if s.HasVersion {
		symbol.Version, symbol.Hidden = s.Version, s.VersionIndex.IsHidden()
	}
	if s.Section == elf.SHN_ABS && symbol.Name == symbol.Version {
		return Symbol{}, false // the linker's mark of a set, see Sets
	}
	// The size of a function is its own affair; an object's is copied into
	// programs.
	if kind == "object" || kind == "tls" {
		symbol.Size = s.Size
	}
	return symbol, true
}
