package draft

import (
	"fmt"
	"regexp"
	"strings"
)

// YAML is the draft as a recipe.yaml, in the order in which recipes are
// written. The notes stand at its head as comments.
func (d *Draft) YAML() []byte {
	var b strings.Builder
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "# TODO: %s\n", oneLineNote(n))
	}
	fmt.Fprintf(&b, "schema: 1\nname: %s\nversion: %q\n", scalar(d.Name), d.Version)
	if d.Upstream != "" {
		fmt.Fprintf(&b, "upstream: %q\n", d.Upstream)
	}
	fmt.Fprintf(&b, "release: 1\ndate: %s\nsummary: %s\nlicense: %s\n", d.Date, scalar(d.Summary), scalar(d.License))
	if d.Homepage != "" {
		fmt.Fprintf(&b, "homepage: %s\n", scalar(d.Homepage))
	}
	b.WriteString("\nsources:\n")
	for _, s := range d.Sources {
		s.write(&b)
	}
	if d.Style != "" || len(d.Tools)+len(d.Libs) > 0 {
		b.WriteString("\nbuild:\n")
		if d.Style != "" {
			fmt.Fprintf(&b, "  style: %s\n", d.Style)
		}
		for _, list := range []struct {
			key   string
			names []string
		}{{"tools", d.Tools}, {"libs", d.Libs}} {
			if len(list.names) > 0 {
				fmt.Fprintf(&b, "  %s: %s\n", list.key, flow(list.names))
			}
		}
	}
	if len(d.Phases) > 0 {
		b.WriteString("\nphases:\n")
		for _, p := range d.Phases {
			fmt.Fprintf(&b, "  %s:\n", p.Name)
			for _, step := range p.Steps {
				fmt.Fprintf(&b, "    - %s\n", strings.ReplaceAll(step, "\n", "\n      "))
			}
		}
	}
	if len(d.Packages) > 0 {
		b.WriteString("\npackages:\n")
		for _, p := range d.Packages {
			p.write(&b)
		}
	}
	if d.Update != nil {
		fmt.Fprintf(&b, "\nupdate:\n  source: %s\n  url: %s\n", d.Update.Source, scalar(d.Update.URL))
		if d.Update.Match != "" {
			fmt.Fprintf(&b, "  match: %s\n", scalar(d.Update.Match))
		}
	}
	return []byte(b.String())
}

func (s *Source) write(b *strings.Builder) {
	lead := "  - "
	put := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, "%s%s: %s\n", lead, key, value)
			lead = "    "
		}
	}
	put("id", s.ID)
	if s.URL != "" {
		put("urls", fmt.Sprintf("[%q]", s.URL))
	}
	put("sha256", s.SHA256)
	if s.Size > 0 {
		put("size", fmt.Sprint(s.Size))
	}
	put("gosum", s.GoSum)
	if s.Into != "" {
		put("into", scalar(s.Into))
	}
	if s.Strip != nil {
		put("strip", fmt.Sprint(*s.Strip))
	}
}

func (p *Split) write(b *strings.Builder) {
	fmt.Fprintf(b, "  - name: %s\n", scalar(p.Name))
	if p.Summary != "" {
		fmt.Fprintf(b, "    summary: %s\n", scalar(p.Summary))
	}
	if len(p.Files) > 0 {
		fmt.Fprintf(b, "    files: %s\n", flow(p.Files))
	}
	if p.Split != "" {
		fmt.Fprintf(b, "    split: %s\n", p.Split)
	}
}

// plain is text that means itself in YAML, also inside a flow list.
var plain = regexp.MustCompile(`^[A-Za-z/_][A-Za-z0-9_ ./+()@^-]*[A-Za-z0-9_./+)-]$|^[A-Za-z]$`)

// urlText is a plain address.
var urlText = regexp.MustCompile(`^https?://[A-Za-z0-9_./+?=&%~-]+$`)

// words that YAML takes for something else than text.
var notText = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)

// scalar quotes text where YAML needs it.
func scalar(text string) string {
	if (plain.MatchString(text) || urlText.MatchString(text)) && !notText.MatchString(text) {
		return text
	}
	return quoted(text)
}

// quoted is text in double quotes, as YAML reads them.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(text) + `"`
}

// bare is a list member without need of quotes.
var bare = regexp.MustCompile(`^[A-Za-z./_-][A-Za-z0-9./_+=:-]*$`)

// flow is a list on one line.
func flow(list []string) string {
	var out []string
	for _, text := range list {
		if !bare.MatchString(text) || notText.MatchString(text) || strings.HasSuffix(text, ":") || strings.HasPrefix(text, "- ") || text == "-" {
			text = quoted(text)
		}
		out = append(out, text)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// useStep is a step that uses a pipeline, with one list of inputs or none.
func useStep(pipeline, input string, values []string) string {
	if input == "" {
		return "use: " + pipeline
	}
	return "use: " + pipeline + "\nwith:\n  " + input + ": " + flow(values)
}

// execStep is a step that runs a program.
func execStep(argv ...string) string {
	var out []string
	for _, arg := range argv {
		out = append(out, strings.Trim(flow([]string{arg}), "[]"))
	}
	return "exec: [" + strings.Join(out, ", ") + "]"
}

// runStep is a step that runs a script.
func runStep(lines ...string) string { return "run: |\n  " + strings.Join(lines, "\n  ") }

func oneLineNote(text string) string { return strings.Join(strings.Fields(text), " ") }
