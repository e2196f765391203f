package kernelconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"ashlar/pkgtool/strictyaml"

	"github.com/Masterminds/semver/v3"
)

// List is what somebody else asks of a kernel, such as Docker's check.
type List struct {
	Schema  int      `yaml:"schema" jsonschema_description:"format version: 1"`
	Summary string   `yaml:"summary" jsonschema_description:"who asks, in one sentence"`
	Source  string   `yaml:"source" jsonschema_description:"where the list is from, and of when"`
	Demands []Demand `yaml:"demands"`

	name string
}

// Demand is some rows of a list. A row is SYMBOL=VALUE, or SYMBOL for y or m;
// of rows with | between them one has to hold.
type Demand struct {
	Set    []string `yaml:"set"`
	Kernel string   `yaml:"kernel,omitempty" jsonschema_description:"only kernels in this range"`

	kernel *semver.Constraints
}

// Compared is a list that a flavour is compared with.
type Compared struct {
	List    string       `yaml:"list" json:"list" jsonschema_description:"a file of checks/"`
	Differs []Difference `yaml:"differs,omitempty" json:"differs,omitempty"`

	list *List
}

// Difference is where a flavour does not do what a list asks, on purpose.
type Difference struct {
	Symbols []string `yaml:"symbols" json:"symbols"`
	Reason  string   `yaml:"reason" json:"reason"`
}

// Outcome says how a .config compares with a list.
type Outcome struct {
	List    string `json:"list"`
	Summary string `json:"summary"`
	Rows    int    `json:"rows"` // that apply to this kernel
	Held    int    `json:"held"`
	Differs []Row  `json:"differs"` // on purpose
	Failed  []Row  `json:"failed"`
}

// Row is a row of a list that does not hold.
type Row struct {
	Row    string `json:"row"`
	Have   string `json:"have"`
	Reason string `json:"reason,omitempty"`
}

func loadList(data fs.FS, name string) (*List, error) {
	file := path.Join("checks", name+".yaml")
	text, err := fs.ReadFile(data, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no list %q in checks/", name)
	}
	if err != nil {
		return nil, err
	}
	l := &List{name: name}
	if err := strictyaml.Decode(file, text, l); err != nil {
		return nil, err
	}
	if l.Schema != 1 {
		return nil, fmt.Errorf("%s: schema %d; this program reads schema 1", file, l.Schema)
	}
	for i := range l.Demands {
		d := &l.Demands[i]
		if d.Kernel != "" {
			if d.kernel, err = semver.NewConstraint(d.Kernel); err != nil {
				return nil, fmt.Errorf("%s: kernel range %q: %w", file, d.Kernel, err)
			}
		}
		for _, row := range d.Set {
			for _, term := range terms(row) {
				if !symbolName.MatchString(term.symbol) || strings.HasPrefix(term.symbol, "CONFIG_") || term.value != "" && !valueLine.MatchString("CONFIG_X="+term.value) {
					return nil, fmt.Errorf("%s: %q is no row; rows are SYMBOL, SYMBOL=VALUE, or such with | between them", file, row)
				}
			}
		}
	}
	return l, nil
}

type term struct{ symbol, value string }

func terms(row string) []term {
	var out []term
	for _, text := range strings.Split(row, "|") {
		symbol, value, _ := strings.Cut(strings.TrimSpace(text), "=")
		out = append(out, term{symbol, value})
	}
	return out
}

// loadLists loads the lists that the flavour is compared with.
func (f *Flavour) loadLists(data fs.FS) error {
	for i := range f.Checks {
		c := &f.Checks[i]
		list, err := loadList(data, c.List)
		if err != nil {
			return fmt.Errorf("flavour %s: %w", f.Name, err)
		}
		c.list = list
		known := map[string]bool{}
		for _, d := range list.Demands {
			for _, row := range d.Set {
				for _, t := range terms(row) {
					known[t.symbol] = true
				}
			}
		}
		for _, d := range c.Differs {
			if d.Reason == "" || len(d.Symbols) == 0 {
				return fmt.Errorf("flavour %s: a difference from list %s names no symbol or no reason", f.Name, c.List)
			}
			for _, s := range d.Symbols {
				if !known[s] {
					return fmt.Errorf("flavour %s: list %s asks nothing of %s, so there is no difference", f.Name, c.List, s)
				}
			}
		}
	}
	return nil
}

// compare looks at every row that applies to the kernel; kernel nil is any.
func (c *Compared) compare(config *Config, kernel *semver.Version, own map[string]bool) Outcome {
	out := Outcome{List: c.List, Summary: c.list.Summary, Differs: []Row{}, Failed: []Row{}}
	for _, d := range c.list.Demands {
		if d.kernel != nil && kernel != nil && !d.kernel.Check(kernel) {
			continue
		}
		for _, text := range d.Set {
			out.Rows++
			row := Row{Row: text}
			alternatives := terms(text)
			if slices.ContainsFunc(alternatives, func(t term) bool { return t.holds(config) }) {
				out.Held++
				continue
			}
			for i, t := range alternatives {
				if i > 0 {
					row.Have += " "
				}
				row.Have += t.symbol + "=" + config.Value(t.symbol)
				if row.Reason == "" && own[t.symbol] {
					row.Reason = ownReason
				}
				for _, difference := range c.Differs {
					if row.Reason == "" && slices.Contains(difference.Symbols, t.symbol) {
						row.Reason = difference.Reason
					}
				}
			}
			if row.Reason != "" {
				out.Differs = append(out.Differs, row)
			} else {
				out.Failed = append(out.Failed, row)
			}
		}
	}
	return out
}

func (t term) holds(config *Config) bool {
	have := config.Value(t.symbol)
	if t.value == "" {
		return have == "y" || have == "m"
	}
	return have == t.value
}
