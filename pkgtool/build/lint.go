package build

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"ashlar/pkgtool/build/recipe"
)

// report notes a finding unless the recipe accepts it for the file. what
// continues a sentence that begins with the file.
func (n *needFinder) report(id, file, format string, args ...any) {
	if n.allowed(id, "/"+file) {
		return
	}
	remedy := ""
	if f := recipe.FindingOf(id); f != nil {
		remedy = "; " + f.Remedy
	}
	n.problem("%s: /%s %s%s, or say under lint why not", id, file, fmt.Sprintf(format, args...), remedy)
}

// lint looks for what works on the machine that built it and is wrong all the
// same.
func (n *needFinder) lint(divided [][]entry) error {
	inodes := map[uint64]entry{}
	folders := map[string]bool{}
	for name := range n.owner {
		for dir := path.Dir(name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	for i, files := range divided {
		pkg := &n.r.Packages[i]
		if !pkg.Implicit && len(files)+len(pkg.Dirs)+len(pkg.Depends)+len(pkg.Recommends)+len(additions(pkg)) == 0 {
			n.problemUnless("empty", pkg.Name, "empty: the package %s has no files and needs nothing; give it files or depends, or leave it out", pkg.Name)
		}
		for _, mode := range pkg.Modes {
			n.writable(strings.TrimPrefix(mode.Path, "/"), octal(mode.Mode, 0))
		}
		for _, dir := range pkg.Dirs {
			n.writable(strings.TrimPrefix(dir.Path, "/"), octal(dir.Mode, 0))
		}
		for _, en := range files {
			if en.links > 1 {
				if first, seen := inodes[en.inode]; !seen {
					inodes[en.inode] = en
				} else if n.owner[first.path] != i {
					n.report("hardlink", en.path, "is the same file as /%s of the package %s, and would be shipped twice", first.path, n.r.Packages[n.owner[first.path]].Name)
				}
			}
			switch en.kind {
			case fs.ModeSymlink:
				n.lintLink(en, folders)
			case 0:
				if err := n.lintContent(en); err != nil {
					return fmt.Errorf("/%s: %w", en.path, err)
				}
			}
		}
	}
	return nil
}

func (n *needFinder) problemUnless(id, name, format string, args ...any) {
	if !n.allowed(id, name) {
		n.problem(format, args...)
	}
}

// writable reports files and folders that everybody may change. In a sticky
// folder nobody can remove what others put there.
func (n *needFinder) writable(name string, mode uint32) {
	const others, sticky = 0o002, 0o1000
	if mode&others != 0 && mode&sticky == 0 {
		n.report("world-writable", name, "has mode %04o", mode)
	}
}

// liveFolders are filled on the running system.
var liveFolders = []string{"proc/", "run/", "sys/", "dev/", "var/", "tmp/", "etc/", "usr/local/"}

// lintLink reports links that lead nowhere, or out of the system's root.
func (n *needFinder) lintLink(en entry, folders map[string]bool) {
	target, ok := resolveLink(en.path, en.target)
	if !ok {
		n.problem("escaping symlink: /%s leads to %s, above the root; no package can hold it", en.path, en.target)
		return
	}
	for _, folder := range []string{"build/", "dest/", "sources/", "recipe/"} {
		if strings.HasPrefix(target+"/", folder) {
			n.report("build-path", en.path, "leads to %s, which exists only while it is built", en.target)
			return
		}
	}
	for _, live := range liveFolders {
		if strings.HasPrefix(target+"/", live) {
			return
		}
	}
	if target == "." || folders[target] || n.known(target) {
		return
	}
	if _, err := n.root.Stat(target); err == nil { // through links of its own
		return
	}
	n.report("broken-symlink", en.path, "leads to %s, which neither this recipe nor a package of its build root has", en.target)
}

// known reports whether a package of the recipe or of the build root has a
// path, as a file or as the folder of one.
func (n *needFinder) known(name string) bool {
	if _, own := n.owner[name]; own {
		return true
	}
	for i := range n.r.Packages {
		for _, dir := range n.r.Packages[i].Dirs {
			if dir.Path == "/"+name {
				return true
			}
		}
	}
	for _, p := range n.outside.byName {
		for i := range p.manifest.Files {
			if file := p.manifest.Files[i].Path; file == name || strings.HasPrefix(file, name+"/") {
				return true
			}
		}
	}
	return false
}

// resolveLink returns where a link leads, as a path relative to the root and in
// the folders of a merged /usr; ok is false for one that climbs above the root.
func resolveLink(name, target string) (where string, ok bool) {
	if path.IsAbs(target) {
		return merged(strings.TrimPrefix(path.Clean(target), "/")), true
	}
	joined := path.Join(path.Dir(name), target)
	return merged(joined), joined != ".." && !strings.HasPrefix(joined, "../")
}

func merged(name string) string {
	for link, folder := range map[string]string{
		"bin/": "usr/bin/", "sbin/": "usr/bin/", "lib/": "usr/lib/", "lib64/": "usr/lib/", "usr/sbin/": "usr/bin/", "usr/lib64/": "usr/lib/",
	} {
		if rest, ok := strings.CutPrefix(name, link); ok {
			return folder + rest
		}
	}
	if name == "" {
		return "."
	}
	return name
}

// lintContent searches one file for what belongs to the build.
func (n *needFinder) lintContent(en entry) error {
	if en.size == 0 || strings.HasPrefix(en.path, "usr/lib/debug/") || strings.HasPrefix(en.path, "usr/src/") {
		return nil
	}
	patterns := []string{sourceFolder(n.r), objectsFolder, destFolder + "/usr/", destFolder + "/etc/"}
	for _, folder := range []string{"usr/share/doc/", "usr/share/man/", "usr/share/info/"} { // examples of paths
		if strings.HasPrefix(en.path, folder) {
			patterns = nil
		}
	}
	bytecode := -1
	if path.Ext(en.path) == ".a" || path.Ext(en.path) == ".o" {
		bytecode = len(patterns)
		patterns = append(patterns, ".gnu.lto_.decls")
	}
	if len(patterns) == 0 {
		return nil
	}
	f, err := n.root.Open(en.path)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := search(f, patterns)
	if err != nil {
		return err
	}
	for i, pattern := range patterns {
		switch {
		case !found[i]:
		case i == bytecode:
			n.report("lto", en.path, "holds the compiler's own bytecode, which only the same compiler can link")
		default:
			n.report("build-path", en.path, "names %s, which exists only while it is built", strings.TrimSuffix(pattern, "/"))
			return nil
		}
	}
	return nil
}

// search reports which of the patterns a file holds.
func search(r io.Reader, patterns []string) ([]bool, error) {
	found := make([]bool, len(patterns))
	longest := 0
	for _, p := range patterns {
		longest = max(longest, len(p))
	}
	buffer := make([]byte, 0, 256<<10)
	for {
		n, err := io.ReadFull(r, buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		for i, p := range patterns {
			found[i] = found[i] || bytes.Contains(buffer, []byte(p))
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return found, nil
		default:
			return nil, err
		}
		keep := min(longest-1, len(buffer)) // the beginning of a pattern
		buffer = append(buffer[:0], buffer[len(buffer)-keep:]...)
	}
}

// weaknesses lists what a program or library lacks of what makes errors in it
// hard to exploit. Programs of Go's own linker are passed over.
func weaknesses(f *elf.File) (lacks []string, textRelocations bool) {
	flag := func(tag elf.DynTag, bit uint64) bool {
		values, err := f.DynValue(tag)
		return err == nil && len(values) > 0 && values[0]&bit != 0
	}
	if text, err := f.DynValue(elf.DT_TEXTREL); err == nil && len(text) > 0 || flag(elf.DT_FLAGS, uint64(elf.DF_TEXTREL)) {
		textRelocations = true
	}
	if f.Section(".go.buildinfo") != nil {
		return nil, textRelocations
	}
	if f.Type == elf.ET_EXEC {
		lacks = append(lacks, "a position-independent program (-fPIE -pie)")
	}
	if f.Section(".dynamic") == nil {
		return lacks, textRelocations
	}
	relro := false
	for _, p := range f.Progs {
		relro = relro || p.Type == elf.PT_GNU_RELRO
	}
	if !relro {
		lacks = append(lacks, "read-only relocations (-Wl,-z,relro)")
	}
	bind, err := f.DynValue(elf.DT_BIND_NOW)
	if !(err == nil && len(bind) > 0) && !flag(elf.DT_FLAGS, uint64(elf.DF_BIND_NOW)) && !flag(elf.DT_FLAGS_1, uint64(elf.DF_1_NOW)) && hasPLT(f) {
		lacks = append(lacks, "binding at the start (-Wl,-z,now)")
	}
	return lacks, textRelocations
}

// hasPLT reports whether anything is left to bind while the program runs.
func hasPLT(f *elf.File) bool {
	size, err := f.DynValue(elf.DT_PLTRELSZ)
	return err == nil && len(size) > 0 && size[0] > 0
}
