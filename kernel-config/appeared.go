package kernelconfig

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"ashlar/kernel-config/kconfig"
)

// Arrivals is what a newer kernel means for a flavour.
type Arrivals struct {
	Schema   int    `json:"schema"` // 1
	Flavour  string `json:"flavour"`
	Appeared []Item `json:"appeared"` // symbols to be asked for that no fragment speaks of
	Gone     []Item `json:"gone"`     // what the flavour speaks of and the newer kernel does not have
}

// Item is a symbol of a kernel's Kconfig files.
type Item struct {
	Symbol  string `json:"symbol"`
	Type    string `json:"type,omitempty"`
	Prompt  string `json:"prompt,omitempty"`
	At      string `json:"at,omitempty"` // file and line
	Depends string `json:"depends,omitempty"`
	Default string `json:"default,omitempty"`
	Asked   string `json:"asked,omitempty"` // value that the flavour asks for
	From    string `json:"from,omitempty"`  // fragment
}

// New compares the Kconfig files of two kernels: symbols with a prompt that the
// newer one has, the older one lacks, and nothing in the flavour mentions; and
// what the flavour asks for that was there and is not any more.
func New(f *Flavour, older, newer *kconfig.Tree) *Arrivals {
	out := &Arrivals{Schema: 1, Flavour: f.Name, Appeared: []Item{}, Gone: []Item{}}
	spoken := map[string]bool{}
	for _, part := range f.loaded {
		for i := range part.rules.Rules {
			for _, s := range part.rules.Rules[i].Symbols {
				spoken[s] = true
			}
		}
	}
	asks := f.asks()
	for _, a := range asks {
		spoken[a.symbol] = true
	}
	for _, name := range slices.Sorted(maps.Keys(newer.Symbols)) {
		s := newer.Lookup(name)
		if s == nil || spoken[name] || older.Lookup(name) != nil {
			continue
		}
		for _, d := range s.Definitions {
			if d.Prompt == "" {
				continue
			}
			out.Appeared = append(out.Appeared, Item{Symbol: name, Type: d.Type, Prompt: d.Prompt,
				At: fmt.Sprintf("%s:%d", d.File, d.Line), Depends: textOf(d.DependsOn), Default: defaultText(d.Defaults)})
			break
		}
	}
	for _, a := range asks {
		if a.value != "n" && older.Lookup(a.symbol) != nil && newer.Lookup(a.symbol) == nil {
			out.Gone = append(out.Gone, Item{Symbol: a.symbol, Asked: a.value, From: a.fragment})
		}
	}
	return out
}

func textOf(e *kconfig.Expression) string {
	if e == nil {
		return ""
	}
	return e.String()
}

func defaultText(list []kconfig.Default) string {
	if len(list) == 0 {
		return ""
	}
	text := list[0].Value.String()
	if list[0].If != nil {
		text += " if " + list[0].If.String()
	}
	return text
}

// Write prints the arrivals for a person.
func (a *Arrivals) Write(w io.Writer) {
	for _, i := range a.Appeared {
		fmt.Fprintf(w, "new: %s (%s, %s) %q\n", i.Symbol, i.Type, i.At, i.Prompt)
		if i.Depends != "" {
			fmt.Fprintf(w, "    depends on %s\n", i.Depends)
		}
		if i.Default != "" {
			fmt.Fprintf(w, "    default %s\n", i.Default)
		}
	}
	for _, i := range a.Gone {
		fmt.Fprintf(w, "gone: %s=%s, which fragment %s asks for\n", i.Symbol, i.Asked, i.From)
	}
	fmt.Fprintf(w, "flavour %s: %d new symbols that no fragment speaks of, %d gone\n", a.Flavour, len(a.Appeared), len(a.Gone))
}
