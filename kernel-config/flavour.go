package kernelconfig

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"ashlar/pkgtool/strictyaml"
)

//go:embed fragments flavours checks
var shipped embed.FS

// Shipped is the data of this project: flavours/NAME.yaml,
// fragments/NAME.config, fragments/NAME.yaml and checks/NAME.yaml.
func Shipped() fs.FS { return shipped }

// Flavour is a kernel of the project: what it is made from.
type Flavour struct {
	Schema    int               `yaml:"schema" json:"-" jsonschema_description:"format version: 1"`
	Name      string            `yaml:"name" json:"name"`
	Summary   string            `yaml:"summary" json:"summary"`
	Base      string            `yaml:"base" json:"base" jsonschema_description:"make target that answers what no fragment says: allnoconfig (off) or alldefconfig (the kernel's default)"`
	Arch      string            `yaml:"arch" json:"arch" jsonschema_description:"as the kernel names it: x86"`
	Fragments []string          `yaml:"fragments" json:"fragments"`
	Overrides map[string]string `yaml:"overrides,omitempty" json:"overrides,omitempty" jsonschema_description:"symbol to value; wins over every fragment"`

	Checks []Compared `yaml:"checks,omitempty" json:"checks,omitempty" jsonschema_description:"what others ask of a kernel, and where this one differs on purpose"`

	// Own names the user's fragments on top, in order; see [Flavour.Add].
	Own []string `yaml:"-" json:"own,omitempty"`

	loaded []fragment
}

type fragment struct {
	name   string
	config *Config
	rules  Rules
	own    bool // a user's
}

// Flavours lists the names of the flavours in data.
func Flavours(data fs.FS) ([]string, error) {
	files, err := fs.Glob(data, "flavours/*.yaml")
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return files, err
}

// Load reads a flavour and its fragments and checks them: two fragments that
// ask for different values of one symbol need an override.
func Load(data fs.FS, name string) (*Flavour, error) {
	file := path.Join("flavours", name+".yaml")
	text, err := fs.ReadFile(data, file)
	if errors.Is(err, fs.ErrNotExist) {
		known, _ := Flavours(data)
		return nil, fmt.Errorf("no kernel flavour %q; there is %s", name, strings.Join(known, ", "))
	}
	if err != nil {
		return nil, err
	}
	f := &Flavour{}
	if err := strictyaml.Decode(file, text, f); err != nil {
		return nil, err
	}
	switch {
	case f.Schema != 1:
		return nil, fmt.Errorf("%s: schema %d; this program reads schema 1", file, f.Schema)
	case f.Name != name:
		return nil, fmt.Errorf("%s: name is %q", file, f.Name)
	case f.Base != "allnoconfig" && f.Base != "alldefconfig":
		return nil, fmt.Errorf("%s: base %q; the bases are allnoconfig and alldefconfig", file, f.Base)
	}
	var problems []error
	for _, part := range f.Fragments {
		loaded, err := loadFragment(data, part)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		f.loaded = append(f.loaded, loaded)
	}
	problems = append(problems, f.conflicts()...)
	problems = append(problems, f.loadLists(data))
	for symbol, value := range f.Overrides {
		if !symbolName.MatchString(symbol) || !valueLine.MatchString("CONFIG_X="+value) {
			problems = append(problems, fmt.Errorf("%s: override %s: %q is no value of a .config", file, symbol, value))
		}
	}
	return f, errors.Join(problems...)
}

func loadFragment(data fs.FS, name string) (fragment, error) {
	f := fragment{name: name}
	file := path.Join("fragments", name+".config")
	text, err := fs.ReadFile(data, file)
	if err != nil {
		return f, fmt.Errorf("fragment %s: %w", name, err)
	}
	if f.config, err = ParseConfig(file, bytes.NewReader(text)); err != nil {
		return f, err
	}
	file = path.Join("fragments", name+".yaml")
	if text, err = fs.ReadFile(data, file); err != nil {
		return f, fmt.Errorf("rules of fragment %s: %w", name, err)
	}
	if err := strictyaml.Decode(file, text, &f.rules); err != nil {
		return f, err
	}
	return f, f.prepare(file)
}

// prepare checks the rules, which file holds.
func (f *fragment) prepare(file string) error {
	if f.rules.Schema != 1 {
		return fmt.Errorf("%s: schema %d; this program reads schema 1", file, f.rules.Schema)
	}
	for i := range f.rules.Rules {
		r := &f.rules.Rules[i]
		if err := r.prepare(); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, s := range r.Symbols {
			asked := f.config.Has(s) && f.config.Value(s) != "n"
			if r.Level == Forbidden && asked {
				return fmt.Errorf("%s forbids %s, and %s.config asks for it", file, s, f.name)
			}
		}
	}
	return nil
}

func (f *Flavour) conflicts() []error {
	var problems []error
	from := map[string]fragment{}
	for _, part := range f.loaded {
		for _, s := range part.config.Symbols() {
			first, seen := from[s]
			if !seen {
				from[s] = part
				continue
			}
			_, decided := f.Overrides[s]
			if a, b := first.config.Value(s), part.config.Value(s); a != b && !decided {
				problems = append(problems, fmt.Errorf(
					"fragment %s asks for %s=%s and fragment %s for %s; decide in the overrides of flavour %s",
					first.name, s, a, part.name, b, f.Name))
			}
		}
	}
	return problems
}

// asked is one symbol a flavour asks for.
type asked struct{ symbol, value, fragment string }

func (f *Flavour) asks() []asked {
	var out []asked
	own := f.decided(0)
	seen := map[string]bool{}
	add := func(part fragment, later map[string]bool) {
		for _, s := range part.config.Symbols() {
			if !later[s] && !seen[s] {
				seen[s] = true
				out = append(out, asked{s, part.config.Value(s), part.name})
			}
		}
	}
	overrides := slices.Sorted(maps.Keys(f.Overrides))
	hidden := maps.Clone(own)
	for _, s := range overrides {
		hidden[s] = true
	}
	for _, part := range f.loaded {
		if !part.own {
			add(part, hidden)
		}
	}
	for _, s := range overrides {
		if !own[s] {
			out = append(out, asked{s, f.Overrides[s], "overrides"})
		}
	}
	for i, part := range f.loaded {
		if part.own {
			add(part, f.decided(i+1))
		}
	}
	return out
}

// Merge writes what all fragments and overrides of the flavour ask for as
// .config text, the input of `make KCONFIG_ALLCONFIG=FILE BASE`.
func (f *Flavour) Merge() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# kernel flavour %s\n", f.Name)
	last := ""
	for _, a := range f.asks() {
		if a.fragment != last {
			fmt.Fprintf(&b, "\n# %s\n", a.fragment)
			last = a.fragment
		}
		fmt.Fprintln(&b, assignment(a.symbol, a.value))
	}
	return b.Bytes()
}
