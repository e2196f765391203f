package build

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

// needs are the requires and provides of one package, canonical.
type needs struct{ requires, provides []string }

// loaders are the names of the dynamic loader on an Ashlar system: the usual
// one, and the one that glibc's own programs have because it is installed there.
var loaders = []string{"/lib64/ld-linux-x86-64.so.2", "/usr/lib/ld-linux-x86-64.so.2"}

// findNeeds reads requires and provides from the files of a recipe's packages
// and adds what the recipe says. It refuses programs that would not run on an
// installed system.
func findNeeds(root *os.Root, r *recipe.Recipe, divided [][]entry, buildRoot *buildRoot) ([]needs, error) {
	n := &needFinder{root: root, r: r, owner: map[string]int{}, sonames: map[string]int{}, defined: map[string]map[string]bool{}, pkgconfigs: map[string]int{}, modules: map[string]int{}}
	n.outside = newUniverse(buildRoot.packages)
	n.requires = make([]map[string]bool, len(divided))
	n.provides = make([]map[string]bool, len(divided))
	for i, files := range divided {
		n.requires[i], n.provides[i] = map[string]bool{}, map[string]bool{}
		for _, en := range files {
			n.owner[en.path] = i
		}
	}
	libraries := make([][]*elfFacts, len(divided))
	for i, files := range divided {
		for _, en := range files {
			facts, err := n.look(i, en)
			if err != nil {
				return nil, fmt.Errorf("/%s: %w", en.path, err)
			}
			if facts != nil {
				libraries[i] = append(libraries[i], facts)
			}
			for _, look := range []func(int, entry) error{n.python, n.perl, n.kernel} {
				if err := look(i, en); err != nil {
					return nil, fmt.Errorf("/%s: %w", en.path, err)
				}
			}
		}
	}
	n.settle()
	for i := range r.Packages {
		for _, a := range additions(&r.Packages[i]) {
			n.owner[a.path] = i
			if path.Dir(a.path) == "usr/bin" && a.mode&0o111 != 0 {
				n.provide(i, "cmd", "cmd("+path.Base(a.path)+")")
			}
		}
	}
	for i, files := range divided {
		if err := n.units(i, files); err != nil {
			return nil, err
		}
		for _, a := range additions(&r.Packages[i]) {
			if a.mode&0o111 == 0 {
				continue
			}
			begin, err := a.head(r, 256)
			if err != nil {
				return nil, err
			}
			n.script(i, a.path, begin)
		}
		for _, facts := range libraries[i] {
			n.link(i, facts)
		}
		for _, en := range files {
			n.follow(i, en)
			if en.kind == 0 && en.executable {
				n.script(i, en.path, head(root, en.path, 256))
			}
		}
	}
	if err := n.lint(divided); err != nil {
		return nil, err
	}
	if len(n.problems) > 0 {
		slices.Sort(n.problems)
		return nil, fault.Errorf(fault.Usage, "%s", strings.Join(slices.Compact(n.problems), "\n"))
	}
	all := make([]needs, len(divided))
	for i := range divided {
		pkg := &r.Packages[i]
		for _, text := range dependencies(pkg.Depends) {
			n.requires[i][text] = true
		}
		for _, text := range pkg.Provides {
			if p, err := version.ParseProvide(text); err == nil {
				n.provides[i][p.String()] = true
			}
		}
		all[i] = needs{slices.Sorted(maps.Keys(n.requires[i])), slices.Sorted(maps.Keys(n.provides[i]))}
	}
	return all, nil
}

// dependencies returns the canonical texts, sorted; they were checked with the
// recipe.
func dependencies(texts []string) []string {
	var list []string
	for _, text := range texts {
		if d, err := version.ParseDependency(text); err == nil {
			list = append(list, d.String())
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

type needFinder struct {
	root       *os.Root
	r          *recipe.Recipe
	outside    *universe
	owner      map[string]int             // path -> package
	sonames    map[string]int             // of libraries of this recipe -> package; -1 for private ones
	defined    map[string]map[string]bool // by library of this recipe: sets of symbols
	pkgconfigs map[string]int
	modules    map[string]int // python(...), perl(...), kmod(...) of this recipe -> package
	wants      []want
	requires   []map[string]bool
	provides   []map[string]bool
	problems   []string
}

// look reads one file: what it provides is noted at once.
func (n *needFinder) look(i int, en entry) (*elfFacts, error) {
	base, dir := path.Base(en.path), path.Dir(en.path)
	if dir == "usr/bin" && (en.executable || en.kind == fs.ModeSymlink) {
		n.provide(i, "cmd", "cmd("+base+")")
	}
	if en.kind != 0 || strings.HasPrefix(en.path, "usr/lib/debug/") {
		return nil, nil
	}
	if module, ok := strings.CutSuffix(base, ".pc"); ok && path.Base(dir) == "pkgconfig" {
		n.pkgconfigs[module] = i
		n.providePkgconfig(i, module, en.path)
	}
	facts, err := readELF(n.root, en.path)
	if err != nil || facts == nil {
		return nil, err
	}
	n.check(en.path, facts)
	name := facts.soname
	if name == "" {
		name = base
	}
	n.define(name, facts)
	switch _, known := n.sonames[name]; {
	case inLoaderPath(en.path) && facts.soname != "":
		n.sonames[name] = i
		n.provide(i, "soname", "soname("+name+")")
		for _, set := range facts.versions.defines {
			n.provide(i, "symver", symver(name, set))
		}
	case !known:
		n.sonames[name] = -1
	}
	return facts, nil
}

// check reports what would not run, or only where it was built.
func (n *needFinder) check(name string, facts *elfFacts) {
	full := "/" + name
	if strays(facts.runPaths) && !allowed(n.r, "rpath", full) {
		n.problem("rpath: %s looks for libraries in %s; build it without, or say under lint why", full, strings.Join(facts.runPaths, ":"))
	}
	if in := facts.interpreter; in != "" && !slices.Contains(loaders, in) && !allowed(n.r, "interpreter", full) {
		n.problem("interpreter: %s is started by %s instead of %s", full, in, loaders[0])
	}
	if facts.execStack && !allowed(n.r, "executable-stack", full) {
		n.problem("executable-stack: %s wants to execute its stack", full)
	}
	if facts.textRelocations {
		n.report("text-relocation", name, "is changed in memory before it runs, so that its code can be written to")
	}
	if len(facts.lacks) > 0 && n.r.OriginOf() == "source" { // who repacks has not chosen the flags
		n.report("hardening", name, "lacks %s", strings.Join(facts.lacks, ", "))
	}
}

// strays reports whether a program looks for libraries in a fixed folder. One
// relative to the program itself ($ORIGIN) holds wherever it is installed.
func strays(runPaths []string) bool {
	for _, list := range runPaths {
		for _, dir := range strings.Split(list, ":") {
			if dir != "$ORIGIN" && !strings.HasPrefix(dir, "$ORIGIN/") {
				return true
			}
		}
	}
	return false
}

// link turns the libraries a file needs into requires.
func (n *needFinder) link(i int, facts *elfFacts) {
	for _, name := range facts.needed {
		owner, own := n.sonames[name]
		capability := "soname(" + name + ")"
		switch {
		case own && (owner == i || owner < 0):
		case own:
			n.require(i, "soname", capability)
			n.sibling(i, owner)
		case n.outside.find(capability) != nil:
			n.require(i, "soname", capability)
		case allowed(n.r, "soname", name):
			continue
		default:
			n.problem("soname: a program or library in %s needs %s, which no package in its build root provides; add the package with it to build.libs",
				n.r.Packages[i].Name, name)
			continue
		}
		n.linkVersions(i, facts, name, own, owner)
	}
}

// follow finds needs between files: links into other packages of the recipe,
// and modules of pkg-config.
func (n *needFinder) follow(i int, en entry) {
	if en.kind == fs.ModeSymlink {
		target := path.Join(path.Dir(en.path), en.target)
		if path.IsAbs(en.target) {
			target = strings.TrimPrefix(path.Clean(en.target), "/")
		}
		if owner, ok := n.owner[target]; ok && owner != i {
			n.sibling(i, owner)
		}
		return
	}
	if path.Base(path.Dir(en.path)) != "pkgconfig" || !strings.HasSuffix(en.path, ".pc") {
		return
	}
	for _, module := range n.pkgconfigField(en.path, "Requires", "Requires.private") {
		capability := "pkgconfig(" + module + ")"
		if owner, own := n.pkgconfigs[module]; own {
			if owner != i {
				n.sibling(i, owner)
			}
		} else if n.outside.find(capability) != nil {
			n.require(i, "pkgconfig", capability)
		}
	}
}

// sibling makes package i need exactly this build of another package of the
// recipe.
func (n *needFinder) sibling(i, other int) {
	n.require(i, "", fmt.Sprintf("%s =%s", n.r.Packages[other].Name, n.r.EVR()))
}

// require notes a need of a kind that the recipe can leave out by no-auto.
func (n *needFinder) require(i int, kind, text string) {
	if slices.Contains(n.r.Packages[i].NoAuto, kind) {
		return
	}
	if d, err := version.ParseDependency(text); err == nil {
		n.requires[i][d.String()] = true
	}
}

// provide notes a capability of a kind that the recipe can leave out by
// no-auto; a file name that cannot be one is no capability.
func (n *needFinder) provide(i int, kind, text string) {
	if slices.Contains(n.r.Packages[i].NoAuto, kind) {
		return
	}
	if p, err := version.ParseProvide(text); err == nil {
		n.provides[i][p.String()] = true
	}
}

func (n *needFinder) providePkgconfig(i int, module, file string) {
	name := "pkgconfig(" + module + ")"
	if slices.Contains(n.r.Packages[i].NoAuto, "pkgconfig") {
		return
	}
	for _, text := range n.pkgconfigField(file, "Version") {
		if p, err := version.ParseProvide(name + " = " + text); err == nil {
			n.provides[i][p.String()] = true
			return
		}
	}
	n.provide(i, "pkgconfig", name)
}

// pkgconfigField returns the words of fields of a .pc file that can be the name
// of a module or a version.
func (n *needFinder) pkgconfigField(file string, fields ...string) []string {
	f, err := n.root.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var words []string
	lines := bufio.NewScanner(io.LimitReader(f, 1<<20))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), ":")
		if !ok || !slices.Contains(fields, strings.TrimSpace(name)) {
			continue
		}
		skip := false
		for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
			if strings.Trim(word, "<>=!") == "" {
				skip = true // the version that follows
				continue
			}
			if !skip && !strings.Contains(word, "$") {
				words = append(words, word)
			}
			skip = false
		}
	}
	return words
}

func (n *needFinder) allowed(id, name string) bool { return allowed(n.r, id, name) }

func (n *needFinder) problem(format string, args ...any) {
	n.problems = append(n.problems, fmt.Sprintf(format, args...))
}
