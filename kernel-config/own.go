package kernelconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/strictyaml"
)

// ownReason is why a symbol of a user's fragment without a rule is required.
const ownReason = "your fragment asks for it"

// Add puts a user's fragment on top of the flavour: file is .config text, and
// a file of the same name with .yaml instead of .config may hold rules. What it
// asks for wins over the flavour's fragments, overrides and rules and over own
// fragments added before, and is required where its rules say nothing else.
func (f *Flavour) Add(file string) error {
	name := strings.TrimSuffix(filepath.Base(file), ".config")
	if !strings.HasSuffix(file, ".config") || name == "" {
		return fmt.Errorf("fragment %s: the name of a fragment's file ends in .config", file)
	}
	config, err := ReadConfig(file)
	if err != nil {
		return err
	}
	if len(config.Symbols()) == 0 {
		return fmt.Errorf("fragment %s asks for nothing; lines are CONFIG_NAME=y or # CONFIG_NAME is not set", file)
	}
	own := fragment{name: name, config: config, own: true}
	beside := strings.TrimSuffix(file, ".config") + ".yaml"
	text, err := os.ReadFile(beside)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := strictyaml.Decode(beside, text, &own.rules); err != nil {
			return err
		}
		if err := own.prepare(beside); err != nil {
			return err
		}
	}
	f.loaded = append(f.loaded, own)
	f.Own = append(f.Own, name)
	return nil
}

// decided tells which symbols the flavour's own text no longer decides: own
// fragments from number n on ask for them.
func (f *Flavour) decided(n int) map[string]bool {
	out := map[string]bool{}
	for _, part := range f.loaded[n:] {
		if part.own {
			for _, s := range part.config.Symbols() {
				out[s] = true
			}
		}
	}
	return out
}
