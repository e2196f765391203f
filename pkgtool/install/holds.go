package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
	"ashlar/pkgtool/version"

	"github.com/goccy/go-yaml"
)

// Hold keeps a package as it is: in the version that is installed, or absent.
type Hold struct {
	Name   string `yaml:"name" json:"name" jsonschema_description:"name of the package"`
	Reason string `yaml:"reason,omitempty" json:"reason,omitempty" jsonschema_description:"why, for whoever meets the hold later"`
}

// holdsFile is /etc/pkgtool/holds.yaml.
type holdsFile struct {
	Schema int    `yaml:"schema" jsonschema:"enum=1"`
	Holds  []Hold `yaml:"holds,omitempty"`
}

// HoldsSchema is the JSON Schema of the list of holds, for editors.
func HoldsSchema() ([]byte, error) { return strictyaml.Schema(&holdsFile{}, "Ashlar holds") }

const holdsHeader = "# Packages that stay as they are. See also: pkgtool hold --help\n"

// HoldsPath is the administrator's list of holds of the system below root.
func HoldsPath(root string) string { return filepath.Join(root, "etc/pkgtool/holds.yaml") }

// ReadHolds reads the list of holds of the system below root; a file that does
// not exist holds nothing. Errors are of class fault.Usage.
func ReadHolds(root string) ([]Hold, error) {
	data, err := os.ReadFile(HoldsPath(root))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseHolds(HoldsPath(root), data)
}

func parseHolds(path string, data []byte) ([]Hold, error) {
	var f holdsFile
	if err := strictyaml.Decode(path, data, &f); err != nil {
		return nil, fault.Mark(err, fault.Usage, "")
	}
	if f.Schema != 1 {
		return nil, fault.Errorf(fault.Usage, "%s: schema is %d; this pkgtool reads schema 1", path, f.Schema)
	}
	seen := map[string]bool{}
	for _, h := range f.Holds {
		if err := version.CheckName(h.Name); err != nil {
			return nil, fault.Errorf(fault.Usage, "%s: %w", path, err)
		}
		if seen[h.Name] {
			return nil, fault.Errorf(fault.Usage, "%s: %s is held twice; remove one of the entries", path, h.Name)
		}
		seen[h.Name] = true
	}
	return f.Holds, nil
}

// Hold adds holds and returns the names that were not held before. The rest of
// the file stays as its administrator wrote it. A name that is neither installed
// nor on offer is refused with an error of class fault.Usage: mistyped, it would
// protect nothing.
func (s *Session) Hold(ctx context.Context, names []string, reason string) (added []string, err error) {
	if err := s.offers(ctx, false); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := version.CheckName(name); err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
		if s.system.Package(name) == nil && len(s.client.ByName(name)) == 0 {
			return nil, fault.Mark(fmt.Errorf("no package %s is installed or on offer", name), fault.Usage, "see what there is: pkgtool search "+name)
		}
	}
	err = editHolds(s.opts.Root, func(holds []Hold) []Hold {
		for _, name := range names {
			if !isHeld(holds, name) {
				holds = append(holds, Hold{name, reason})
				added = append(added, name)
			}
		}
		return holds
	})
	return added, err
}

// Unhold removes holds of the system below root and returns the names that were
// held.
func Unhold(root string, names []string) (removed []string, err error) {
	err = editHolds(root, func(holds []Hold) []Hold {
		return slices.DeleteFunc(holds, func(h Hold) bool {
			gone := slices.Contains(names, h.Name)
			if gone {
				removed = append(removed, h.Name)
			}
			return gone
		})
	})
	return removed, err
}

func isHeld(holds []Hold, name string) bool {
	return slices.ContainsFunc(holds, func(h Hold) bool { return h.Name == name })
}

// editHolds replaces the file, if change changes anything.
func editHolds(root string, change func([]Hold) []Hold) error {
	path := HoldsPath(root)
	before, err := ReadHolds(root)
	if err != nil {
		return err
	}
	after := change(slices.Clone(before))
	if slices.Equal(before, after) {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if data, err = rewordHolds(data, before, after); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o644)
}

// rewordHolds edits the text line by line, so that comments stay. Where the
// file is laid out in a way that this does not understand, which shows when the
// result is read again, it is written anew.
func rewordHolds(data []byte, before, after []Hold) ([]byte, error) {
	text := data
	for _, h := range before {
		if !isHeld(after, h.Name) {
			text = withoutHold(text, h.Name)
		}
	}
	for _, h := range after {
		if !isHeld(before, h.Name) {
			entry, err := yaml.Marshal([]Hold{h})
			if err != nil {
				return nil, err
			}
			indent := "  "
			if m := holdLine.FindSubmatch(text); m != nil {
				indent = string(m[1])
			}
			if len(text) > 0 && text[len(text)-1] != '\n' {
				text = append(text, '\n')
			}
			for line := range strings.Lines(string(entry)) {
				text = append(text, indent+line...)
			}
		}
	}
	if got, err := parseHolds("", text); err == nil && slices.Equal(got, after) {
		return text, nil
	}
	anew, err := yaml.Marshal(holdsFile{Schema: 1, Holds: after})
	return append([]byte(holdsHeader), anew...), err
}

// holdLine is the first line of an entry: its indentation and its name.
var holdLine = regexp.MustCompile(`(?m)^([ \t]*)- +name: *["']?([^"'#\s]+)["']?[ \t]*(#.*)?$`)

// withoutHold removes the lines of an entry: its first, and those after it that
// are indented more.
func withoutHold(text []byte, name string) []byte {
	var kept []byte
	inside, indent := false, 0
	for line := range bytes.Lines(text) {
		if m := holdLine.FindSubmatch(bytes.TrimRight(line, "\n")); m != nil {
			inside, indent = string(m[2]) == name, len(m[1])
		} else if inside {
			trimmed := bytes.TrimLeft(line, " \t")
			inside = len(bytes.TrimSpace(line)) > 0 && len(line)-len(trimmed) > indent
		}
		if !inside {
			kept = append(kept, line...)
		}
	}
	return kept
}
