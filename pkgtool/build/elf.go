package build

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// elfFacts is what a package needs to know about a program or library.
type elfFacts struct {
	path        string // of the file, relative
	soname      string
	needed      []string
	runPaths    []string
	interpreter string
	execStack   bool
	versions    symbolVersions

	lacks           []string // of hardening
	textRelocations bool
}

// readELF returns nil for a file that is no program or shared library of this
// machine.
func readELF(root *os.Root, name string) (facts *elfFacts, err error) {
	if stripKind(head(root, name, 20)) != stripAll {
		return nil, nil
	}
	// debug/elf is made for files of a compiler, and says that others can make
	// it panic.
	defer func() {
		if p := recover(); p != nil {
			facts, err = nil, fmt.Errorf("damaged ELF file: %v", p)
		}
	}()
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	f, err := elf.NewFile(file)
	if err != nil {
		return nil, err
	}
	facts = &elfFacts{path: name}
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_INTERP:
			text, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			if err != nil {
				return nil, err
			}
			facts.interpreter = strings.TrimRight(string(text), "\x00")
		case elf.PT_GNU_STACK:
			facts.execStack = p.Flags&elf.PF_X != 0
		}
	}
	facts.lacks, facts.textRelocations = weaknesses(f)
	if f.Section(".dynamic") == nil {
		return facts, nil
	}
	if facts.needed, err = f.ImportedLibraries(); err != nil {
		return nil, err
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, err := f.DynString(tag)
		if err != nil {
			return nil, err
		}
		facts.runPaths = append(facts.runPaths, paths...)
	}
	if names, err := f.DynString(elf.DT_SONAME); err == nil && len(names) > 0 {
		facts.soname = names[0]
	}
	facts.versions, err = readVersions(f)
	return facts, err
}

// inLoaderPath reports whether the dynamic loader finds a library at this path
// without being told.
func inLoaderPath(name string) bool { return path.Dir(name) == "usr/lib" }
