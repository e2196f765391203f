package build

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"ashlar/pkgtool/build/sandbox"
)

// debugFolder is where debuggers look for symbols by build-id.
const debugFolder = "usr/lib/debug/.build-id"

// strip removes debugging symbols, with the seed's tools. With debug, those of
// programs and libraries go to files named by their build-id.
func (e *Engine) strip(ctx context.Context, w *Work, debug bool) error {
	root, err := os.OpenRoot(w.Dest)
	if err != nil {
		return err
	}
	defer root.Close()
	programs, objects := []string{}, []string{}
	symbols := map[string]string{} // debug file -> program
	seen := map[uint64]bool{}
	err = walk(root, ".", func(en entry) error {
		if en.kind != 0 || en.size < 8 || en.links > 1 && seen[en.inode] || strings.HasPrefix(en.path, debugFolder) {
			return nil
		}
		seen[en.inode] = true
		switch stripKind(head(root, en.path, 20)) {
		case stripAll:
			programs = append(programs, destFolder+"/"+en.path)
			if id := debugID(root, en.path); id != "" && debug {
				if file := path.Join(destFolder, debugFolder, id[:2], id[2:]+".debug"); symbols[file] == "" {
					symbols[file] = destFolder + "/" + en.path
				}
			}
		case stripDebug:
			objects = append(objects, destFolder+"/"+en.path)
		}
		return nil
	})
	if err != nil || len(programs)+len(objects) == 0 {
		return err
	}
	for file := range symbols {
		if err := root.MkdirAll(strings.TrimPrefix(path.Dir(file), destFolder+"/"), 0o755); err != nil {
			return err
		}
	}
	divide := *w
	divide.Commands, divide.Build, divide.Sources, divide.Files, divide.Started = nil, "", "", "", nil
	divide.add("split", []string{"objcopy", "--only-keep-debug", "--"}, 1, symbols, nil)
	divide.add("strip", []string{"strip", "--strip-unneeded", "--remove-section=.comment", "--"}, 200, nil, programs)
	divide.add("strip", []string{"strip", "--strip-debug", "--enable-deterministic-archives", "--"}, 200, nil, objects)
	return e.executor().Run(ctx, &divide)
}

// add adds commands: one for each pair of files, or for each few files.
func (w *Work) add(name string, argv []string, few int, pairs map[string]string, files []string) {
	for _, file := range slices.Sorted(maps.Keys(pairs)) {
		w.Commands = append(w.Commands, sandbox.Command{Name: name, Argv: append(slices.Clone(argv), pairs[file], file), Dir: "/"})
	}
	for batch := range slices.Chunk(files, few) {
		w.Commands = append(w.Commands, sandbox.Command{Name: name, Argv: append(slices.Clone(argv), batch...), Dir: "/"})
	}
}

// debugID returns the build-id of a program or library with debugging symbols,
// in hexadecimal, or "".
func debugID(root *os.Root, name string) string {
	file, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	f, err := elf.NewFile(file)
	if err != nil || f.Section(".debug_info") == nil {
		return ""
	}
	note := f.Section(".note.gnu.build-id")
	if note == nil || note.Size > 1<<10 {
		return ""
	}
	data, err := note.Data()
	const header = 12 // sizes of name and description, and the type
	if err != nil || len(data) < header+4 {
		return ""
	}
	size := int(binary.LittleEndian.Uint32(data[4:]))
	if id := data[header+4:]; size >= 8 && size <= len(id) {
		return hex.EncodeToString(id[:size])
	}
	return ""
}

type stripping int

const (
	stripNothing stripping = iota
	stripAll               // programs and shared libraries
	stripDebug             // object files, archives, kernel modules
)

// stripKind looks at the beginning of a file.
func stripKind(head []byte) stripping {
	if strings.HasPrefix(string(head), "!<arch>\n") {
		return stripDebug
	}
	const class64, littleEndian, machineX86 = 2, 1, 62
	if len(head) < 20 || string(head[:4]) != "\x7fELF" || head[4] != class64 || head[5] != littleEndian || head[18] != machineX86 {
		return stripNothing
	}
	switch head[16] {
	case 1: // relocatable
		return stripDebug
	case 2, 3: // executable, shared
		return stripAll
	}
	return stripNothing
}
