package pkgfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Trigger is a program that a package wants to have run after a transaction
// that changed files: what keeps an index or a cache of them fresh. It is data,
// not a script of the package: it names a program that some package installs.
type Trigger struct {
	Name  string   `json:"name,omitempty" yaml:"name"`   // unique in the package
	Run   []string `json:"run,omitempty" yaml:"run"`     // the program's absolute path, and its arguments
	Watch []string `json:"watch,omitempty" yaml:"watch"` // globs (doublestar) over the changed paths, which have no leading slash
}

const (
	maxTriggers = 64  // of a package
	maxWatch    = 256 // globs of a trigger
	maxRun      = 64  // arguments of a trigger
)

// checkTriggers is nil if triggers can stand in a manifest: in order of their
// names, with sorted globs.
func checkTriggers(triggers []Trigger) error {
	if len(triggers) > maxTriggers {
		return fmt.Errorf("%d triggers, more than the %d allowed", len(triggers), maxTriggers)
	}
	for i := range triggers {
		t := &triggers[i]
		if i > 0 && triggers[i-1].Name >= t.Name {
			return fmt.Errorf("trigger %.200q: not in order, or twice", t.Name)
		}
		if err := t.Check(); err != nil {
			return fmt.Errorf("trigger %.200q: %w", t.Name, err)
		}
	}
	return nil
}

// Check is nil if the trigger by itself can stand in a manifest.
func (t *Trigger) Check() error {
	switch {
	case !nameForm.MatchString(t.Name):
		return errors.New("its name: lower-case letters, digits and + . _ - are allowed, at most 128")
	case len(t.Watch) == 0:
		return errors.New("it watches nothing; give at least one glob under watch")
	case len(t.Watch) > maxWatch:
		return fmt.Errorf("%d globs, more than the %d allowed", len(t.Watch), maxWatch)
	case len(t.Run) == 0:
		return errors.New("it runs nothing; give the program's absolute path under run")
	case len(t.Run) > maxRun:
		return fmt.Errorf("%d arguments, more than the %d allowed", len(t.Run), maxRun)
	}
	for i, glob := range t.Watch {
		if i > 0 && t.Watch[i-1] >= glob {
			return fmt.Errorf("glob %.200q: not in order, or twice", glob)
		}
		if err := CheckGlob(glob); err != nil {
			return fmt.Errorf("glob %.200q: %w", glob, err)
		}
	}
	return checkRun(t.Run)
}

func checkRun(argv []string) error {
	program, absolute := strings.CutPrefix(argv[0], "/")
	if !absolute {
		return fmt.Errorf("program %.200q: not an absolute path", argv[0])
	}
	if err := CheckPath(program); err != nil {
		return fmt.Errorf("program %.200q: %w", argv[0], err)
	}
	for _, argument := range argv[1:] {
		if err := checkText(argument, maxPath, ""); err != nil {
			return fmt.Errorf("argument %.200q: %w", argument, err)
		}
	}
	return nil
}

// CheckGlob is nil if glob can be watched by a trigger: a doublestar pattern
// that could match a path of a package. Braces are not allowed: each group
// multiplies the work of matching, and a second glob says the same.
func CheckGlob(glob string) error {
	if err := CheckPath(glob); err != nil {
		return err
	}
	if strings.ContainsAny(glob, "{}") {
		return errors.New("braces are not allowed; write one glob for each alternative")
	}
	if !doublestar.ValidatePattern(glob) {
		return errors.New("not a glob")
	}
	return nil
}

// canonicalTriggers is the sorted copy that manifests hold.
func canonicalTriggers(triggers []Trigger) []Trigger {
	triggers = slices.Clone(triggers)
	for i := range triggers {
		t := &triggers[i]
		t.Run, t.Watch = slices.Clone(t.Run), slices.Clone(t.Watch)
		slices.Sort(t.Watch)
		t.Watch = slices.Compact(t.Watch)
	}
	slices.SortFunc(triggers, func(a, b Trigger) int { return cmp.Compare(a.Name, b.Name) })
	return triggers
}
