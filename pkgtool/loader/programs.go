package loader

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"ashlar/iso/tree"
	"ashlar/pkgtool/fault"
)

// rootPrograms bring up what a root stands on: by the kernel parameter that
// names it, the program that does it and the package that has that.
var rootPrograms = []struct{ parameter, program, pkg string }{
	{"rd.md.uuid", "bin/mdadm", "mdadm"},
	{"rd.luks.uuid", "bin/cryptsetup", "cryptsetup"},
	{"rd.luks.options", "lib/ashlar/unlock-disk", "ashlar-loader"},
	{"rd.lvm.lv", "bin/lvm", "lvm2"},
}

// unnamed are libraries that programs open by name while they run: the C library
// ends threads with it, and cryptsetup has threads.
var unnamed = []string{"libgcc_s.so.1"}

// programs returns the files, by their paths below /usr, that an initial RAM
// file system needs for what the kernel's command line says: programs, the
// libraries they name and the loader of programs.
func programs(usr fs.FS, options string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, p := range rootPrograms {
		if !strings.Contains(" "+options, " "+p.parameter+"=") {
			continue
		}
		if err := addProgram(usr, p.program, files); err != nil {
			return nil, fault.Mark(fmt.Errorf("the kernel's command line has %s: %w", p.parameter, err), fault.Usage, "install what that needs: pkgtool install "+p.pkg)
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	for _, name := range unnamed {
		if err := addLibrary(usr, name, files); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return files, nil
}

// addProgram adds a file and the libraries that it names.
func addProgram(usr fs.FS, name string, files map[string][]byte) error {
	if files[name] != nil {
		return nil
	}
	content, err := fs.ReadFile(usr, name)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	files[name] = content
	needs, err := f.ImportedLibraries()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if loader := interpreter(f); loader != "" {
		needs = append(needs, path.Base(loader))
	}
	for _, need := range needs {
		if err := addLibrary(usr, need, files); err != nil {
			return fmt.Errorf("%s needs %s: %w", name, need, err)
		}
	}
	return nil
}

// addLibrary adds a library from where the loader of programs looks.
func addLibrary(usr fs.FS, name string, files map[string][]byte) error {
	return addProgram(usr, "lib/"+name, files)
}

// interpreter is the loader that a program names, or "".
func interpreter(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, min(p.Filesz, 4096))
			if _, err := p.ReadAt(text, 0); err == nil {
				return strings.TrimRight(string(text), "\x00")
			}
		}
	}
	return ""
}

// programEntries lays the files out as on a system whose programs are all below
// /usr (docs/decisions/0001-merged-usr-and-sbin.md).
func programEntries(files map[string][]byte) []tree.Entry {
	if len(files) == 0 {
		return nil
	}
	var entries []tree.Entry
	for name, content := range files {
		entries = append(entries, tree.Entry{Path: "usr/" + name, Perm: 0o755, Size: int64(len(content)), Open: tree.Bytes(content)})
	}
	for link, target := range map[string]string{"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib", "usr/lib64": "lib", "usr/sbin": "bin"} {
		entries = append(entries, tree.Entry{Path: link, Kind: tree.Symlink, Perm: 0o777, Target: target})
	}
	return entries
}
