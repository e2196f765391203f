package kernelconfig

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// Answer says what is known about one symbol.
type Answer struct {
	Schema   int       `json:"schema"` // 1
	Symbol   string    `json:"symbol"`
	Value    string    `json:"value"` // today's
	Promises []Promise `json:"promises"`
	Because  []string  `json:"because"`
}

// Promise is what a flavour says about the symbol.
type Promise struct {
	Flavour  string `json:"flavour"`
	Fragment string `json:"fragment"`
	Level    Level  `json:"level"`
	Want     string `json:"want"`
	Reason   string `json:"reason,omitempty"`
}

// Why explains a symbol's value in the .config file by the Kconfig files of
// source. file defaults to source/.config; wanted to n for a symbol that is
// set and to y for one that is not.
func Why(data fs.FS, symbol, file, source, wanted string) (*Answer, error) {
	if !symbolName.MatchString(symbol) {
		return nil, fmt.Errorf("%q is no symbol name", symbol)
	}
	if file == "" {
		file = filepath.Join(source, ".config")
	}
	config, err := ReadConfig(file)
	if err != nil {
		return nil, err
	}
	kernel, err := kernelVersion(config.Kernel)
	if err != nil {
		return nil, err
	}
	answer := &Answer{Schema: 1, Symbol: symbol, Value: config.Value(symbol), Promises: []Promise{}}
	names, err := Flavours(data)
	if err != nil {
		return nil, err
	}
	arch := "x86"
	for _, name := range names {
		f, err := Load(data, name)
		if err != nil {
			return nil, err
		}
		arch = f.Arch
		for _, p := range f.promises(kernel, config.Arch) {
			if p.Symbol == symbol {
				answer.Promises = append(answer.Promises, Promise{name, p.Fragment, p.Level, p.Want, p.Reason})
			}
		}
	}
	if config.Arch != "" {
		arch = config.Arch
	}
	tree, err := ReadSource(source, arch)
	if err != nil {
		return nil, err
	}
	if wanted == "" {
		wanted = "y"
		if answer.Value != "n" {
			wanted = "n"
		}
	}
	answer.Because = tree.Explain(symbol, wanted, config.plain)
	return answer, nil
}

// Write prints the answer for a person.
func (a *Answer) Write(w io.Writer) {
	fmt.Fprintf(w, "%s=%s\n", a.Symbol, a.Value)
	for _, line := range a.Because {
		fmt.Fprintf(w, "    %s\n", line)
	}
	for _, p := range a.Promises {
		reason := p.Reason
		if reason == "" {
			reason = "asked for without a rule"
		}
		fmt.Fprintf(w, "flavour %s, fragment %s: %s %s=%s: %s\n", p.Flavour, p.Fragment, p.Level, a.Symbol, p.Want, reason)
	}
}
