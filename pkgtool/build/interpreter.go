package build

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// programFolders are where a system looks for programs; in a merged /usr they
// are one.
var programFolders = []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"}

// scriptInterpreter returns the program that the first line of a script names,
// as an absolute path, or its bare name where /usr/bin/env is to find it. It
// is "" for a file that is no script. The kernel reads 256 bytes of the line.
func scriptInterpreter(head []byte) string {
	text, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return ""
	}
	if path.Base(words[0]) != "env" {
		return words[0]
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return word
		}
	}
	return words[0]
}

// script makes a package need the program that runs one of its scripts; head
// is the beginning of the file.
func (n *needFinder) script(i int, name string, head []byte) {
	program := scriptInterpreter(head)
	if program == "" || !wantsPrograms(name) || n.allowed("interpreter", "/"+name) || slices.Contains(n.r.Packages[i].NoAuto, "interpreter") {
		return
	}
	if !n.program(i, program) {
		n.problem("interpreter: /%s is run by %s, which no package has there; name a program in /usr/bin on its first line", name, program)
	}
}

// program makes a package need a program, named by its path or, to be looked
// for, by its name alone. It reports false for a path outside of the folders of
// programs at which this recipe installs nothing.
func (n *needFinder) program(i int, program string) bool {
	owner, own := n.owner[strings.TrimPrefix(path.Clean(program), "/")]
	if path.IsAbs(program) && !slices.Contains(programFolders, path.Dir(program)) {
		if own && owner != i {
			n.sibling(i, owner)
		}
		return own
	}
	if owner, own = n.owner["usr/bin/"+path.Base(program)]; !own {
		n.require(i, "interpreter", "cmd("+path.Base(program)+")")
	} else if owner != i {
		n.sibling(i, owner)
	}
	return true
}

// wantsPrograms says whether what an executable file needs is needed by the
// package. Examples in documentation and parts of a file's debugging symbols
// are not run.
func wantsPrograms(name string) bool {
	return !strings.HasPrefix(name, "usr/share/doc/") && !strings.HasPrefix(name, "usr/share/man/") &&
		!strings.HasPrefix(name, debugFolder) && !strings.HasPrefix(name, "usr/lib/debug/") && !strings.HasPrefix(name, "usr/src/")
}
