package seed

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
)

// The loader that Debian's programs ask for, and the name that the seed's
// programs ask for instead. It is shorter, so it fits in its place.
const (
	debianLoader = "/lib64/ld-linux-x86-64.so.2"
	seedLoader   = "/lib64/ld-seed.so.2"
)

// maxInterp bounds a program's interpreter string, in bytes.
const maxInterp = 4096

// renameLoader makes an ELF program that asks for Debian's loader ask for the
// seed's. Anything else is left alone.
func renameLoader(file *os.File) error {
	magic := make([]byte, 4)
	if n, _ := file.ReadAt(magic, 0); n < 4 || string(magic) != elf.ELFMAG {
		return nil
	}
	program, err := elf.NewFile(file)
	if err != nil {
		return nil // not for this machine, or test data: no program of the seed
	}
	for _, p := range program.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > maxInterp {
			continue
		}
		old := make([]byte, p.Filesz)
		if _, err := file.ReadAt(old, int64(p.Off)); err != nil {
			return fmt.Errorf("interpreter: %w", err)
		}
		if string(bytes.TrimRight(old, "\x00")) != debianLoader {
			continue
		}
		fresh := make([]byte, len(old))
		copy(fresh, seedLoader)
		if _, err := file.WriteAt(fresh, int64(p.Off)); err != nil {
			return fmt.Errorf("interpreter: %w", err)
		}
	}
	return nil
}
