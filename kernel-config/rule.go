package kernelconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Level says what it means when a rule is not kept.
type Level string

// The levels. Whatever a fragment's .config asks for without a rule is Wanted.
const (
	Required  Level = "required"  // lost: the kernel is not what it promises
	Wanted    Level = "wanted"    // lost: worth a warning
	Forbidden Level = "forbidden" // set: the kernel is not what it promises
)

// Rules is the file that stands beside a fragment.
type Rules struct {
	Schema  int    `yaml:"schema" jsonschema_description:"format version: 1"`
	Summary string `yaml:"summary" jsonschema_description:"what the fragment is for, in one sentence"`
	Rules   []Rule `yaml:"rules"`
}

// Rule is a promise about some symbols.
type Rule struct {
	Symbols []string `yaml:"symbols" jsonschema_description:"names without CONFIG_"`
	Level   Level    `yaml:"level" jsonschema:"enum=required,enum=wanted,enum=forbidden"`
	Value   string   `yaml:"value,omitempty" jsonschema_description:"default: what the fragment asks for, else y"`
	Reason  string   `yaml:"reason" jsonschema_description:"who needs it, or what goes wrong without it"`
	Kernel  string   `yaml:"kernel,omitempty" jsonschema_description:"only kernels in this range, as in >=5.10 <6.9"`
	Arches  []string `yaml:"arches,omitempty" jsonschema_description:"only these architectures"`

	kernel *semver.Constraints
}

var symbolName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

func (r *Rule) prepare() error {
	where := "a rule"
	if len(r.Symbols) > 0 {
		where = "the rule of " + r.Symbols[0]
	}
	switch {
	case len(r.Symbols) == 0:
		return fmt.Errorf("%s names no symbol", where)
	case r.Reason == "":
		return fmt.Errorf("%s has no reason", where)
	case !slices.Contains([]Level{Required, Wanted, Forbidden}, r.Level):
		return fmt.Errorf("%s has level %q; the levels are required, wanted and forbidden", where, r.Level)
	case r.Level == Forbidden && r.Value != "":
		return fmt.Errorf("%s is forbidden and has a value", where)
	}
	for _, s := range r.Symbols {
		if !symbolName.MatchString(s) || strings.HasPrefix(s, "CONFIG_") {
			return fmt.Errorf("%s: %q is no symbol name; names stand without CONFIG_", where, s)
		}
	}
	if r.Kernel == "" {
		return nil
	}
	var err error
	if r.kernel, err = semver.NewConstraint(r.Kernel); err != nil {
		return fmt.Errorf("%s: kernel range %q: %w", where, r.Kernel, err)
	}
	return nil
}

// applies reports whether the rule speaks about this kernel. An unknown
// version or architecture is in every range.
func (r *Rule) applies(kernel *semver.Version, arch string) bool {
	if r.kernel != nil && kernel != nil && !r.kernel.Check(kernel) {
		return false
	}
	return len(r.Arches) == 0 || arch == "" || slices.Contains(r.Arches, arch)
}

// kernelVersion reads 6.1.170 or 6.12-rc3 from a .config or a Makefile.
func kernelVersion(text string) (*semver.Version, error) {
	if text == "" {
		return nil, nil
	}
	v, err := semver.NewVersion(text)
	if err != nil {
		return nil, fmt.Errorf("kernel version %q: %w", text, err)
	}
	// A range such as >=6.9 shall hold for its release candidates too.
	return semver.New(v.Major(), v.Minor(), v.Patch(), "", ""), nil
}
