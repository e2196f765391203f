package build

import (
	"bufio"
	"bytes"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"ashlar/pkgtool/version"
)

// want is a need that another package of the same recipe may fulfil, which is
// known only when all files have been looked at.
type want struct {
	pkg                    int
	kind, name, constraint string
}

// module notes a module that package i brings.
func (n *needFinder) module(i int, kind, name, number string) {
	capability := kind + "(" + name + ")"
	if _, known := n.modules[capability]; !known {
		n.modules[capability] = i
	}
	if number != "" {
		if _, err := version.ParseProvide(capability + " = " + number); err == nil {
			capability += " = " + number
		}
	}
	n.provide(i, strings.TrimSuffix(kind, "-abi"), capability)
}

func (n *needFinder) want(i int, kind, name, constraint string) {
	n.wants = append(n.wants, want{i, kind, name, constraint})
}

// settle turns wants into requires.
func (n *needFinder) settle() {
	for _, w := range n.wants {
		capability := w.kind + "(" + w.name + ")"
		owner, own := n.modules[capability]
		switch {
		case own && owner != w.pkg:
			n.sibling(w.pkg, owner)
		case !own:
			text := capability + " " + w.constraint
			if _, err := version.ParseDependency(text); err != nil {
				text = capability
			}
			n.require(w.pkg, strings.TrimSuffix(w.kind, "-abi"), text)
		}
	}
}

var (
	pythonFolder  = regexp.MustCompile(`^usr/lib/python(3\.[0-9]+)/(?:site|dist)-packages/([^/]+)`)
	pythonProgram = regexp.MustCompile(`^usr/bin/python(3\.[0-9]+)$`)
	pythonName    = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?`)
	pythonDashes  = regexp.MustCompile(`[-_.]+`)
)

// python notes distributions of Python by their metadata (PEP 376 and 566), and
// that a package's modules are for one version of the interpreter.
func (n *needFinder) python(i int, en entry) error {
	if m := pythonProgram.FindStringSubmatch(en.path); m != nil {
		n.module(i, "python-abi", m[1], "")
	}
	m := pythonFolder.FindStringSubmatch(en.path)
	if m == nil {
		return nil
	}
	n.want(i, "python-abi", m[1], "")
	rest := strings.TrimPrefix(en.path, path.Dir(m[0])+"/")
	folder, file, _ := strings.Cut(rest, "/")
	if en.kind != 0 || !(strings.HasSuffix(folder, ".dist-info") && file == "METADATA" || strings.HasSuffix(folder, ".egg-info") && (file == "PKG-INFO" || file == "")) {
		return nil
	}
	data, err := readSmall(n.root, en.path)
	if err != nil {
		return err
	}
	name, number := "", ""
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan() && lines.Text() != ""; {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch value = strings.TrimSpace(value); key {
		case "Name":
			name = normalPython(value)
		case "Version":
			number = value
		case "Requires-Dist":
			if wanted, constraint, ok := pythonNeed(value, m[1]); ok {
				n.want(i, "python", wanted, constraint)
			}
		}
	}
	if name != "" {
		n.module(i, "python", name, number)
	}
	return nil
}

// normalPython is a distribution's name as PEP 503 compares names.
func normalPython(name string) string {
	return strings.ToLower(pythonDashes.ReplaceAllString(name, "-"))
}

// pythonNeed reads a Requires-Dist (PEP 508) such as
// `idna[extra] (>=2.5,<4); python_version >= "3"`. ok is false for what only
// other systems, older interpreters or optional extras need.
func pythonNeed(text, python string) (name, constraint string, ok bool) {
	text, marker, _ := strings.Cut(text, ";")
	if !pythonMarker(strings.TrimSpace(marker), python) {
		return "", "", false
	}
	text = strings.TrimSpace(text)
	name = pythonName.FindString(text)
	rest := strings.TrimSpace(text[len(name):])
	if strings.HasPrefix(rest, "[") {
		_, rest, _ = strings.Cut(rest, "]")
	}
	if strings.ContainsRune(rest, '@') { // an address
		rest = ""
	}
	var terms []string
	for _, term := range strings.Split(strings.Trim(strings.TrimSpace(rest), "()"), ",") {
		switch term = strings.ReplaceAll(term, " ", ""); {
		case strings.HasPrefix(term, "=="):
			term = "=" + strings.TrimSuffix(strings.TrimPrefix(term, "=="), ".*")
		case strings.HasPrefix(term, "~="), strings.HasPrefix(term, "!="), term == "":
			continue // compatible releases are what a distribution has
		}
		terms = append(terms, term)
	}
	return normalPython(name), strings.Join(terms, " "), name != ""
}

var pythonCondition = regexp.MustCompile(`^(python_version|python_full_version|sys_platform|platform_system|os_name|platform_python_implementation|implementation_name)\s*(==|!=|<=|>=|<|>)\s*["']([^"']*)["']$`)

// pythonMarker decides whether a condition holds here. Conditions that it does
// not know hold: a need too much shows when the package is installed.
func pythonMarker(marker, python string) bool {
	if strings.Contains(marker, "extra") {
		return false
	}
	for _, condition := range strings.Split(marker, " and ") {
		m := pythonCondition.FindStringSubmatch(strings.Trim(condition, " ()"))
		if m == nil {
			continue
		}
		if m[1] == "python_version" || m[1] == "python_full_version" {
			here, err := version.ParseProvide("x = " + python)
			there, err2 := version.ParseProvide("x = " + m[3])
			if err == nil && err2 == nil && !holds(here.Version.Compare(*there.Version), m[2]) {
				return false
			}
			continue
		}
		ours := slices.Contains([]string{"linux", "Linux", "posix", "CPython", "cpython"}, m[3])
		if m[2] == "==" && !ours || m[2] == "!=" && ours {
			return false
		}
	}
	return true
}

// holds says whether a comparison's result answers an operator.
func holds(result int, operator string) bool {
	switch operator {
	case "==":
		return result == 0
	case "!=":
		return result != 0
	case "<":
		return result < 0
	case "<=":
		return result <= 0
	case ">":
		return result > 0
	}
	return result >= 0
}

var (
	perlPackage = regexp.MustCompile(`^\s*package\s+([A-Za-z_]\w*(?:::\w+)*)\s*(?:v?[0-9._]+\s*)?[;{]`)
	perlUse     = regexp.MustCompile(`^(?:use|require)\s+([A-Za-z_]\w*(?:::\w+)*)\s*(?:[;(q'"0-9v-]|$)`)
)

// perl notes the modules of a package, and those that its modules and programs
// use: lines that begin with use or require. What stands further right is
// often under a condition.
func (n *needFinder) perl(i int, en entry) error {
	module := strings.HasSuffix(en.path, ".pm") && strings.Contains(en.path, "/perl")
	script := en.executable && wantsPrograms(en.path) && path.Base(scriptInterpreter(head(n.root, en.path, 256))) == "perl"
	if en.kind != 0 || !module && !script || en.size > maxUnit {
		return nil
	}
	data, err := readSmall(n.root, en.path)
	if err != nil {
		return err
	}
	_, ownPerl := n.owner["usr/bin/perl"]
	manual := false
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "=") {
			manual = !strings.HasPrefix(line, "=cut")
			continue
		}
		if line == "__END__" || line == "__DATA__" {
			break
		}
		if manual {
			continue
		}
		if m := perlPackage.FindStringSubmatch(line); m != nil && module && strings.HasSuffix(en.path, "/"+strings.ReplaceAll(m[1], "::", "/")+".pm") {
			n.module(i, "perl", m[1], "")
		}
		// The interpreter's own modules name many of other systems.
		if m := perlUse.FindStringSubmatch(line); m != nil && !ownPerl {
			n.want(i, "perl", m[1], "")
		}
	}
	return nil
}

// kernelModule matches a module of the kernel below usr/lib/modules/RELEASE.
var kernelModule = regexp.MustCompile(`^usr/lib/modules/[^/]+/(?:.*/)?([^/]+)\.ko(\.gz|\.xz|\.zst)?$`)

// kernel notes modules of the kernel, also those that are built into it, and
// what they depend on.
func (n *needFinder) kernel(i int, en entry) error {
	if m := kernelModule.FindStringSubmatch(en.path); m != nil && en.kind == 0 {
		n.module(i, "kmod", normalKmod(m[1]), "")
		depends, err := kmodDepends(n.root, en.path, m[2])
		if err != nil {
			return err
		}
		for _, name := range depends {
			n.want(i, "kmod", normalKmod(name), "")
		}
	}
	if path.Base(en.path) != "modules.builtin" || !strings.HasPrefix(en.path, "usr/lib/modules/") || en.kind == fs.ModeSymlink {
		return nil
	}
	data, err := readSmall(n.root, en.path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		n.module(i, "kmod", normalKmod(strings.TrimSuffix(path.Base(strings.TrimSpace(line)), ".ko")), "")
	}
	return nil
}

// normalKmod is a module's name as the kernel knows it.
func normalKmod(name string) string { return strings.ReplaceAll(name, "-", "_") }
