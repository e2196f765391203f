package build

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
)

// addition is a file of a package that no step of the build installed: one of
// the recipe's folder, or one made of what the recipe says.
type addition struct {
	path string // relative
	key  string // of the recipe, for messages
	mode uint32
	from string // file of the recipe's folder; "" where there is a text
	text string
}

const unitFolder = "usr/lib/systemd/system"

// additions lists what comes to a package besides its installed files.
func additions(pkg *recipe.Package) []addition {
	var list []addition
	for _, x := range pkg.Extra {
		list = append(list, addition{path: strings.TrimPrefix(x.To, "/"), key: "extra", mode: octal(x.Mode, 0o644), from: x.From})
	}
	add := func(key, path, text string) {
		if text != "" {
			list = append(list, addition{path: path, key: key, mode: 0o644, text: header + text})
		}
	}
	add("users", "usr/lib/sysusers.d/"+pkg.Name+".conf", accountLines(pkg))
	add("tmpfiles", "usr/lib/tmpfiles.d/"+pkg.Name+".conf", lines(pkg.Tmpfiles))
	var settings []string
	for _, key := range slices.Sorted(maps.Keys(pkg.Sysctl)) {
		settings = append(settings, key+" = "+pkg.Sysctl[key])
	}
	add("sysctl", "usr/lib/sysctl.d/"+pkg.Name+".conf", lines(settings))
	var presets []string
	for i := range pkg.Units {
		u := &pkg.Units[i]
		if u.FromRecipe() {
			list = append(list, addition{path: unitFolder + "/" + u.UnitName(), key: "units", mode: 0o644, from: u.File})
		}
		if u.Preset == "enable" || u.Preset == "disable" {
			presets = append(presets, u.Preset+" "+u.UnitName())
		}
	}
	add("units", "usr/lib/systemd/system-preset/50-"+pkg.Name+".preset", lines(presets))
	return list
}

// header begins what is made of a recipe.
const header = "# Made of the package's recipe.\n"

func lines(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\n") + "\n"
}

// accountLines are the users and groups of a package as sysusers.d(5) wants
// them.
func accountLines(pkg *recipe.Package) string {
	number := func(id *int) string {
		if id == nil {
			return "-"
		}
		return fmt.Sprint(*id)
	}
	var list []string
	for _, g := range pkg.Groups {
		list = append(list, "g "+g.Name+" "+number(g.ID))
	}
	for _, u := range pkg.Users {
		id := number(u.ID)
		if u.Group != "" {
			id += ":" + u.Group
		}
		fields := []string{"u", u.Name, id, "-", orDash(u.Home), orDash(u.Shell)}
		if u.Comment != "" {
			fields[3] = `"` + u.Comment + `"`
		}
		list = append(list, strings.Join(fields, " "))
		for _, g := range u.Groups {
			list = append(list, "m "+u.Name+" "+g)
		}
	}
	return lines(list)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// open returns the content.
func (a *addition) open(r *recipe.Recipe) (io.ReadCloser, error) {
	if a.from == "" {
		return io.NopCloser(strings.NewReader(a.text)), nil
	}
	return os.OpenInRoot(r.Dir(), a.from)
}

// head returns the first bytes.
func (a *addition) head(r *recipe.Recipe, n int) ([]byte, error) {
	f, err := a.open(r)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(n)))
}

// maxUnit is how long a unit may be, in bytes.
const maxUnit = 1 << 20

// units checks the units of a package, which the recipe names or the build
// installed, and makes the package need what they start.
func (n *needFinder) units(i int, files []entry) error {
	pkg := &n.r.Packages[i]
	for k := range pkg.Units {
		u := &pkg.Units[k]
		name := unitFolder + "/" + u.UnitName()
		owner, installed := n.owner[name]
		switch {
		case u.FromRecipe():
		case !installed || owner != i:
			n.problem("units: the build installs no /%s into the package %s; name a file of the recipe's folder, such as files/%s", name, pkg.Name, u.UnitName())
		default:
			if data, err := readSmall(n.root, name); err != nil {
				return err
			} else if err := u.Check(data); err != nil {
				n.problem("units: %v", err)
			}
		}
	}
	for _, en := range files {
		if strings.HasPrefix(en.path, unitFolder+"/") && en.kind == 0 {
			data, err := readSmall(n.root, en.path)
			if err != nil {
				return err
			}
			n.unit(i, en.path, data)
		}
	}
	for _, a := range additions(pkg) {
		if strings.HasPrefix(a.path, unitFolder+"/") {
			data, err := a.head(n.r, maxUnit)
			if err != nil {
				return err
			}
			n.unit(i, a.path, data)
		}
	}
	return nil
}

// unit makes a package need the programs of one of its units.
func (n *needFinder) unit(i int, name string, data []byte) {
	base := name[strings.LastIndexByte(name, '/')+1:]
	facts, err := recipe.ReadUnit(base, data)
	if err != nil {
		if strings.Count(name, "/") == strings.Count(unitFolder, "/")+1 && !n.allowed("unit", "/"+name) { // not a drop-in
			n.problem("unit: %v", err)
		}
		return
	}
	for _, program := range facts.Programs {
		if !n.program(i, program) && !n.allowed("unit", "/"+name) {
			n.problem("unit: /%s starts %s, which no package has there; install it, or mend the unit", name, program)
		}
	}
}

// readSmall reads a file that should be short.
func readSmall(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var data bytes.Buffer
	if _, err := io.Copy(&data, io.LimitReader(f, maxUnit+1)); err != nil {
		return nil, &fs.PathError{Op: "read", Path: "/" + name, Err: err}
	}
	if data.Len() > maxUnit {
		return nil, fmt.Errorf("/%s is longer than %d bytes", name, maxUnit)
	}
	return data.Bytes(), nil
}
