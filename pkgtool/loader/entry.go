package loader

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Entry is how one generation starts. Kernel and Initrd are paths on the EFI
// system partition, with a slash in front.
type Entry struct {
	Generation int    `json:"generation"`
	Title      string `json:"title"`
	Release    string `json:"kernel"` // of the kernel
	Kernel     string `json:"linux"`
	Initrd     string `json:"initrd,omitempty"`
	Options    string `json:"options"` // the kernel's command line but for ashlar.generation and ashlar.boot
}

const (
	filesDir   = "ashlar"
	entriesDir = "loader/entries"
)

func entryName(generation int) string { return fmt.Sprintf("ashlar-%d.conf", generation) }

func generationOf(name string) (int, bool) {
	text, ok := strings.CutPrefix(name, "ashlar-")
	text, is := strings.CutSuffix(text, ".conf")
	n, err := strconv.Atoi(text)
	return n, ok && is && err == nil && n > 0 && entryName(n) == name
}

// encode writes an entry as the Boot Loader Specification has it.
func (e *Entry) encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "title %s\nversion %d\nsort-key ashlar\nx-release %s\nlinux %s\n", e.Title, e.Generation, e.Release, e.Kernel)
	if e.Initrd != "" {
		fmt.Fprintf(&b, "initrd %s\n", e.Initrd)
	}
	fmt.Fprintf(&b, "options %s ashlar.generation=%d\n", e.Options, e.Generation)
	return []byte(b.String())
}

// decodeEntry reads what encode wrote; nil if a power failure left something else.
func decodeEntry(generation int, text []byte) *Entry {
	e := &Entry{Generation: generation}
	lines := strings.Split(string(text), "\n")
	if lines[len(lines)-1] != "" {
		return nil
	}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "title":
			e.Title = value
		case "x-release":
			e.Release = value
		case "linux":
			e.Kernel = value
		case "initrd":
			e.Initrd = value
		case "options":
			own := fmt.Sprintf(" ashlar.generation=%d", generation)
			if !strings.HasSuffix(value, own) {
				return nil
			}
			e.Options = strings.TrimSuffix(value, own)
		}
	}
	if e.Options == "" || path.Dir(e.Kernel) != "/"+filesDir || e.Initrd != "" && path.Dir(e.Initrd) != "/"+filesDir {
		return nil
	}
	return e
}
