package build

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/fault"

	"github.com/bmatcuk/doublestar/v4"
)

// claims divides what was installed among the packages of a recipe. The result
// has a list for every package; folders are not divided.
func claims(root *os.Root, packages []recipe.Package) ([][]entry, error) {
	divided := make([][]entry, len(packages))
	used := map[string]bool{} // globs that matched something
	var unclaimed, moved []string
	err := walk(root, ".", func(en entry) error {
		if en.kind == fs.ModeDir {
			return nil
		}
		full := "/" + en.path
		if belowMoved(en.path) {
			moved = append(moved, full)
			return nil
		}
		owner := -1
		for i, p := range packages {
			for _, glob := range p.Files {
				if doublestar.MatchUnvalidated(glob, full) {
					used[fmt.Sprint(i, glob)] = true
					if owner < 0 {
						owner = i
					}
				}
			}
		}
		for i, p := range packages {
			if inSplit(root, p.Split, en) {
				used[fmt.Sprint(i, "split")] = true
				if owner < 0 {
					owner = i
				}
			}
		}
		if owner < 0 {
			unclaimed = append(unclaimed, full)
			return nil
		}
		divided[owner] = append(divided[owner], en)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var problems []string
	if len(moved) > 0 {
		problems = append(problems, fmt.Sprintf("%d files are below a folder that is a symbolic link to /usr/bin or /usr/lib; install them there:\n%s",
			len(moved), list(moved, "    ")))
	}
	if len(unclaimed) > 0 {
		problems = append(problems, fmt.Sprintf("%d installed files belong to no package; put them under files of one, or remove them:\n%s",
			len(unclaimed), list(suggest(unclaimed), "      - ")))
	}
	for i, p := range packages {
		for _, glob := range p.Files {
			if !used[fmt.Sprint(i, glob)] {
				problems = append(problems, fmt.Sprintf("package %s: the claim %s matches nothing", p.Name, glob))
			}
		}
		if p.Split != "" && p.Split != "none" && !p.Implicit && !used[fmt.Sprint(i, "split")] {
			problems = append(problems, fmt.Sprintf("package %s: split %s finds nothing", p.Name, p.Split))
		}
	}
	if len(problems) > 0 {
		return nil, fault.Errorf(fault.Usage, "divide the files into packages: %s", strings.Join(problems, "\n"))
	}
	return divided, nil
}

// belowMoved reports whether a path goes through one of the links of a merged
// /usr. The links themselves may be installed.
func belowMoved(name string) bool {
	for _, link := range []string{"bin/", "sbin/", "lib/", "lib64/", "usr/sbin/", "usr/lib64/"} {
		if strings.HasPrefix(name, link) {
			return true
		}
	}
	return false
}

// translatedManual matches manual pages that are not in English, and plain.
var translatedManual = regexp.MustCompile(`^usr/share/man/[a-z]{2,3}([_.@][A-Za-z0-9@._-]+)?/man[0-9n]`)

// inSplit reports whether an entry is in a standard set.
func inSplit(root *os.Root, split string, en entry) bool {
	name := en.path
	below := func(folders ...string) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(name, f+"/") })
	}
	switch split {
	case "debug":
		return below("usr/lib/debug")
	case "static":
		return below("usr/lib") && strings.HasSuffix(name, ".a")
	case "locale":
		return below("usr/share/locale") || translatedManual.MatchString(name)
	case "doc":
		return below("usr/share/man", "usr/share/info", "usr/share/doc", "usr/share/gtk-doc")
	case "dev":
		if below("usr/include", "usr/lib/pkgconfig", "usr/share/pkgconfig", "usr/lib/cmake", "usr/share/cmake", "usr/share/aclocal") {
			return true
		}
		// A library's name for the linker: a link, or a script of the linker.
		return path.Dir(name) == "usr/lib" && strings.HasSuffix(name, ".so") &&
			(en.kind == fs.ModeSymlink || en.kind == 0 && stripKind(head(root, name, 20)) == stripNothing)
	}
	return false
}

// suggest turns paths into globs to paste: a folder with many becomes one.
func suggest(paths []string) []string {
	byFolder := map[string][]string{}
	var folders []string
	for _, p := range paths {
		dir := path.Dir(p)
		if byFolder[dir] == nil {
			folders = append(folders, dir)
		}
		byFolder[dir] = append(byFolder[dir], p)
	}
	var globs []string
	for _, dir := range folders {
		if len(byFolder[dir]) > 4 {
			globs = append(globs, strings.TrimSuffix(dir, "/")+"/*")
			continue
		}
		globs = append(globs, byFolder[dir]...)
	}
	return globs
}

// list writes lines with a prefix, the first thirty.
func list(lines []string, prefix string) string {
	more := ""
	if len(lines) > 30 {
		more = fmt.Sprintf("\n%s... and %d more", strings.Repeat(" ", len(prefix)), len(lines)-30)
		lines = lines[:30]
	}
	return prefix + strings.Join(lines, "\n"+prefix) + more
}
