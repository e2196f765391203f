package kernelconfig

import (
	"fmt"
	"io"

	"ashlar/kernel-config/kconfig"

	"github.com/Masterminds/semver/v3"
)

// Finding is one promise that a .config does not keep.
type Finding struct {
	Symbol   string   `json:"symbol"`
	Level    Level    `json:"level"`
	Fragment string   `json:"fragment"`
	Want     string   `json:"want"`
	Have     string   `json:"have"`
	Reason   string   `json:"reason,omitempty"`
	Because  []string `json:"because,omitempty"` // from the kernel's Kconfig files
}

// Failure reports whether the finding makes the kernel unfit for its flavour.
func (f Finding) Failure() bool { return f.Level != Wanted }

// Report is the result of a check.
type Report struct {
	Schema   int       `json:"schema"` // 1
	Flavour  string    `json:"flavour"`
	Kernel   string    `json:"kernel,omitempty"`
	Arch     string    `json:"arch,omitempty"`
	Checked  int       `json:"checked"` // promises that apply to this kernel
	Findings []Finding `json:"findings"`
	Lists    []Outcome `json:"lists,omitempty"` // what others ask
}

// Failed counts what makes the kernel unfit: broken promises, and rows of lists
// that do not hold and do not differ on purpose.
func (r *Report) Failed() int {
	n := 0
	for _, l := range r.Lists {
		n += len(l.Failed)
	}
	for _, f := range r.Findings {
		if f.Failure() {
			n++
		}
	}
	return n
}

// Warned counts the wanted symbols that were lost.
func (r *Report) Warned() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Failure() {
			n++
		}
	}
	return n
}

// Check compares a completed .config with what the flavour promises. tree may
// be nil; with it, every finding is explained.
func Check(f *Flavour, config *Config, tree *kconfig.Tree) (*Report, error) {
	kernel, err := kernelVersion(config.Kernel)
	if err != nil {
		return nil, err
	}
	if config.Arch != "" && config.Arch != f.Arch {
		return nil, fmt.Errorf("the .config is for %s, flavour %s is for %s", config.Arch, f.Name, f.Arch)
	}
	report := &Report{Schema: 1, Flavour: f.Name, Kernel: config.Kernel, Arch: config.Arch, Findings: []Finding{}}
	for _, p := range f.promises(kernel, config.Arch) {
		report.Checked++
		have := config.Value(p.Symbol)
		if p.Level == Forbidden && have == "n" || p.Level != Forbidden && kept(p.Want, have) {
			continue
		}
		p.Have = have
		if tree != nil {
			p.Because = tree.Explain(p.Symbol, p.Want, config.plain)
		}
		report.Findings = append(report.Findings, p)
	}
	own := f.decided(0)
	for i := range f.Checks {
		report.Lists = append(report.Lists, f.Checks[i].compare(config, kernel, own))
	}
	return report, nil
}

// kept reports whether a value is what was wanted. A module that became built
// in is kept; one that was to be built in and became a module is not.
func kept(want, have string) bool {
	return want == have || want == "m" && have == "y"
}

// promises lists what applies to this kernel, each symbol and level once, in
// the order of the fragments.
func (f *Flavour) promises(kernel *semver.Version, arch string) []Finding {
	asks := f.asks()
	value := map[string]string{}
	for _, a := range asks {
		value[a.symbol] = a.value
	}
	var out []Finding
	ruled := map[string]bool{} // has a rule, in range or not
	for n, part := range f.loaded {
		later := f.decided(n + 1)
		for i := range part.rules.Rules {
			r := &part.rules.Rules[i]
			for _, s := range r.Symbols {
				if later[s] {
					continue
				}
				ruled[s] = true
				if r.applies(kernel, arch) {
					out = append(out, Finding{Symbol: s, Level: r.Level, Fragment: part.name,
						Want: r.want(s, value), Reason: r.Reason})
				}
			}
		}
	}
	own := f.decided(0)
	for _, a := range asks {
		switch {
		case ruled[a.symbol]:
		case own[a.symbol]:
			out = append(out, Finding{Symbol: a.symbol, Level: Required, Fragment: a.fragment, Want: a.value, Reason: ownReason})
		default:
			out = append(out, Finding{Symbol: a.symbol, Level: Wanted, Fragment: a.fragment, Want: a.value})
		}
	}
	return out
}

func (r *Rule) want(symbol string, asked map[string]string) string {
	switch {
	case r.Level == Forbidden:
		return "n"
	case r.Value != "":
		return r.Value
	case asked[symbol] != "":
		return asked[symbol]
	}
	return "y"
}

// Write prints the report for a person.
func (r *Report) Write(w io.Writer) {
	for _, f := range r.Findings {
		word := "warning"
		if f.Failure() {
			word = "failure"
		}
		verb := "wants"
		switch f.Level {
		case Required:
			verb = "requires"
		case Forbidden:
			verb = "forbids"
		}
		if f.Level == Forbidden {
			fmt.Fprintf(w, "%s: fragment %s %s %s, and it is %s\n", word, f.Fragment, verb, f.Symbol, f.Have)
		} else {
			fmt.Fprintf(w, "%s: fragment %s %s %s=%s, and it is %s\n", word, f.Fragment, verb, f.Symbol, f.Want, f.Have)
		}
		if f.Reason != "" {
			fmt.Fprintf(w, "    reason: %s\n", f.Reason)
		}
		for _, line := range f.Because {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}
	for _, l := range r.Lists {
		for _, row := range l.Failed {
			fmt.Fprintf(w, "failure: list %s asks for %s, and it is %s\n", l.List, row.Row, row.Have)
		}
		fmt.Fprintf(w, "list %s: %d of %d rows hold, %d differ on purpose, %d fail\n", l.List, l.Held, l.Rows, len(l.Differs), len(l.Failed))
	}
	fmt.Fprintf(w, "flavour %s, kernel %s: %d promises checked, %d failures, %d warnings\n",
		r.Flavour, orUnknown(r.Kernel), r.Checked, r.Failed(), r.Warned())
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// Err is an error when the kernel is unfit for its flavour.
func (r *Report) Err() error {
	if n := r.Failed(); n > 0 {
		return fmt.Errorf("the configuration breaks %d promises of flavour %s", n, r.Flavour)
	}
	return nil
}
