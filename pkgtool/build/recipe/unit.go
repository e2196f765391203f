package recipe

import (
	"fmt"
	stdpath "path"
	"slices"
	"strings"
	"unicode/utf8"
)

// unitKinds are the endings of names of units, with the section that a unit of
// the kind must have; "" for kinds without one.
var unitKinds = map[string]string{
	".service": "Service", ".socket": "Socket", ".mount": "Mount", ".automount": "Automount", ".swap": "Swap",
	".path": "Path", ".timer": "Timer", ".target": "", ".slice": "", ".scope": "",
}

// UnitFacts is what packing needs to know about a unit of systemd.
type UnitFacts struct {
	Programs []string // that it starts, as its Exec lines name them
	Install  bool     // there is something that `systemctl enable` can do
}

// ReadUnit reads a unit as systemd.syntax(7) describes it, and refuses what
// systemd would pass over in silence: keys outside of a section, lines without
// =, unknown sections, a missing section of its own kind.
func ReadUnit(name string, data []byte) (*UnitFacts, error) {
	own, known := unitKinds[stdpath.Ext(name)]
	if !known {
		return nil, fmt.Errorf("%s is not the name of a unit; they end in .service, .socket, .timer, .path, .mount, .target or the like", name)
	}
	if !utf8.Valid(data) || strings.ContainsRune(string(data), 0) {
		return nil, fmt.Errorf("%s is not text in UTF-8", name)
	}
	facts := &UnitFacts{}
	section, sections := "", map[string]bool{}
	begun := "" // of a line that goes on
	for n, line := range strings.Split(string(data), "\n") {
		if before, goesOn := strings.CutSuffix(line, "\\"); goesOn {
			begun += before + " "
			continue
		}
		line, begun = strings.TrimSpace(begun+line), ""
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			section = strings.TrimSuffix(line[1:], "]")
			if !strings.HasSuffix(line, "]") || !isUnitSection(section, own) {
				return nil, fmt.Errorf("%s:%d: %s is no section of such a unit", name, n+1, line)
			}
			sections[section] = true
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || key == "" || section == "" {
			return nil, fmt.Errorf("%s:%d: %q is not KEY=VALUE in a section", name, n+1, line)
		}
		facts.note(section, key, strings.TrimSpace(value))
	}
	if own != "" && !sections[own] {
		return nil, fmt.Errorf("%s has no section [%s]", name, own)
	}
	return facts, nil
}

func isUnitSection(section, own string) bool {
	return section == "Unit" || section == "Install" || section == own && own != "" || strings.HasPrefix(section, "X-")
}

// note takes one setting.
func (f *UnitFacts) note(section, key, value string) {
	switch {
	case section == "Install" && value != "":
		f.Install = f.Install || slices.Contains([]string{"WantedBy", "RequiredBy", "UpheldBy", "Alias", "Also"}, key)
	case strings.HasPrefix(key, "Exec") && section != "Unit":
		if words := strings.Fields(strings.TrimLeft(value, "@-:+!|")); len(words) > 0 {
			f.Programs = append(f.Programs, strings.Trim(words[0], `"'`))
		}
	}
}

// Check reads the unit's file and refuses a preset that could do nothing.
func (u *Unit) Check(data []byte) error {
	facts, err := ReadUnit(u.UnitName(), data)
	if err == nil && u.Preset == "enable" && !facts.Install {
		err = fmt.Errorf("%s cannot be enabled: it has no WantedBy or the like in [Install]", u.UnitName())
	}
	return err
}
