package netboot

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"ashlar/installer"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"github.com/google/uuid"
)

// MachinesVersion is the version of the list that this program reads.
const MachinesVersion = 1

// Machines is the list of machines that a server starts.
type Machines struct {
	Version  int       `yaml:"version" jsonschema:"required,enum=1" jsonschema_description:"format version, 1"`
	Unknown  string    `yaml:"unknown,omitempty" jsonschema:"enum=boot,enum=ignore" jsonschema_description:"what a machine that no entry matches gets: boot (default), the image with the answers below if there are any; ignore, nothing"`
	Answers  string    `yaml:"answers,omitempty" jsonschema_description:"answer file of a machine that has none of its own, relative to this file"`
	Cmdline  string    `yaml:"cmdline,omitempty" jsonschema_description:"added to every machine's kernel command line"`
	Machines []Machine `yaml:"machines,omitempty" jsonschema_description:"the machines; the first that matches counts"`

	dir string
}

// Machine is one entry.
type Machine struct {
	Name     string   `yaml:"name" jsonschema:"required" jsonschema_description:"name in reports"`
	Match    Identity `yaml:"match" jsonschema:"required" jsonschema_description:"how the machine is known; all that is given must hold"`
	Answers  string   `yaml:"answers,omitempty" jsonschema_description:"answer file, relative to this file"`
	Hostname string   `yaml:"hostname,omitempty" jsonschema_description:"takes the place of system.hostname in the answer file, so that many machines can share one"`
	Cmdline  string   `yaml:"cmdline,omitempty" jsonschema_description:"added to the kernel command line"`
	Install  string   `yaml:"install,omitempty" jsonschema:"enum=once,enum=always,enum=never" jsonschema_description:"once (default): when it has been installed it starts from its disk; always; never: it always starts from its disk"`
}

// Identity is how a machine is known. Wildcards are * and ?.
type Identity struct {
	MAC    string `yaml:"mac,omitempty" jsonschema_description:"MAC address of the card that starts, as 52:54:00:12:34:56"`
	Serial string `yaml:"serial,omitempty" jsonschema_description:"serial number of the machine (SMBIOS); * and ? are wildcards"`
	UUID   string `yaml:"uuid,omitempty" jsonschema_description:"UUID of the machine (SMBIOS)"`
}

// ReadMachines reads a list and every answer file that it names. Every mistake
// is reported at once, as class fault.Usage.
func ReadMachines(file string) (*Machines, error) {
	m := &Machines{dir: filepath.Dir(file)}
	if err := strictyaml.ReadFile(file, m); err != nil {
		return nil, err
	}
	if err := m.validate(); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", file, err), fault.Usage, "pkgtool netboot schema shows what each key means")
	}
	return m, nil
}

// Schema returns the JSON Schema of the list.
func Schema() ([]byte, error) {
	return strictyaml.Schema(&Machines{}, "Ashlar list of machines to start over the network, version 1")
}

var (
	machineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	hostname    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	// A command line stands unquoted in the boot loaders' scripts.
	cmdline = regexp.MustCompile(`^[A-Za-z0-9 ._,:=/@%+?~*!-]*$`)
)

func (m *Machines) validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if m.Version != MachinesVersion {
		bad("version is %d; this program reads version %d", m.Version, MachinesVersion)
	}
	switch m.Unknown {
	case "":
		m.Unknown = "boot"
	case "boot", "ignore":
	default:
		bad("unknown is %q; it is boot or ignore", m.Unknown)
	}
	if !cmdline.MatchString(m.Cmdline) {
		bad("cmdline holds a character with a meaning for a boot loader; letters, digits and ._,:=/@%%+?~*!- are fine")
	}
	if m.Answers != "" {
		if _, err := m.answers(m.Answers, ""); err != nil {
			problems = append(problems, err)
		}
	}
	names := map[string]bool{}
	for i := range m.Machines {
		e := &m.Machines[i]
		where := fmt.Sprintf("machines[%d] (%s)", i, e.Name)
		if !machineName.MatchString(e.Name) {
			bad("%s: name has letters, digits, dot, - and _, at most 63", where)
		}
		if names[e.Name] {
			bad("%s: the name stands twice", where)
		}
		names[e.Name] = true
		if err := e.Match.validate(); err != nil {
			bad("%s: match: %w", where, err)
		}
		if e.Hostname != "" && (!hostname.MatchString(e.Hostname) || len(e.Hostname) > 253) {
			bad("%s: hostname %q is not a host name", where, e.Hostname)
		}
		if !cmdline.MatchString(e.Cmdline) {
			bad("%s: cmdline holds a character with a meaning for a boot loader", where)
		}
		switch e.Install {
		case "":
			e.Install = "once"
		case "once", "always", "never":
		default:
			bad("%s: install is %q; it is once, always or never", where, e.Install)
		}
		file := e.Answers
		if file == "" {
			file = m.Answers
		}
		if file == "" && e.Hostname != "" {
			bad("%s: hostname takes a place in an answer file, and there is none", where)
		}
		if file != "" {
			if _, err := m.answers(file, e.Hostname); err != nil {
				bad("%s: %w", where, err)
			}
		}
	}
	return errors.Join(problems...)
}

func (id *Identity) validate() error {
	if *id == (Identity{}) {
		return errors.New("it is empty; give mac, serial or uuid")
	}
	if id.MAC != "" {
		mac, err := net.ParseMAC(id.MAC)
		if err != nil || len(mac) != 6 {
			return fmt.Errorf("mac %q is no MAC address; write 52:54:00:12:34:56", id.MAC)
		}
		id.MAC = mac.String()
	}
	if _, err := path.Match(id.Serial, ""); err != nil {
		return fmt.Errorf("serial %q is not a pattern", id.Serial)
	}
	if id.UUID != "" {
		u, err := uuid.Parse(id.UUID)
		if err != nil {
			return fmt.Errorf("uuid %q is no UUID", id.UUID)
		}
		id.UUID = u.String()
	}
	return nil
}

// matches says whether a machine that was seen is the one. What is asked for
// and not known yet does not hold.
func (id Identity) matches(mac, serial, machine string) bool {
	if id.MAC != "" && id.MAC != mac || id.UUID != "" && id.UUID != machine {
		return false
	}
	if id.Serial != "" {
		if ok, _ := path.Match(id.Serial, serial); !ok || serial == "" {
			return false
		}
	}
	return true
}

// find returns the entry of a machine, or nil.
func (m *Machines) find(mac, serial, machine string) *Machine {
	for i := range m.Machines {
		if m.Machines[i].Match.matches(mac, serial, machine) {
			return &m.Machines[i]
		}
	}
	return nil
}

// answersOf returns the answer file of an entry, which may be nil; nil if there
// is none.
func (m *Machines) answersOf(e *Machine) ([]byte, error) {
	file, host := m.Answers, ""
	if e != nil {
		host = e.Hostname
		if e.Answers != "" {
			file = e.Answers
		}
	}
	if file == "" {
		return nil, nil
	}
	return m.answers(file, host)
}

// answers reads and validates an answer file and puts the host name in.
func (m *Machines) answers(file, host string) ([]byte, error) {
	if !filepath.IsAbs(file) {
		file = filepath.Join(m.dir, file)
	}
	if _, err := installer.ReadAnswers(file); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil || host == "" {
		return text, err
	}
	parsed, err := parser.ParseBytes(text, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	place, err := yaml.PathString("$.system.hostname")
	if err != nil {
		return nil, err
	}
	if err := place.ReplaceWithReader(parsed, strings.NewReader(host)); err != nil {
		return nil, fmt.Errorf("%s: put the host name %s in: %w", file, host, err)
	}
	return []byte(parsed.String()), nil
}

// mayAnswer says whether there is an answer file for an entry, which may be
// nil: then one may still match when the installer tells more.
func (m *Machines) mayAnswer(e *Machine) bool {
	if m.Answers != "" {
		return true
	}
	if e != nil {
		return e.Answers != ""
	}
	for i := range m.Machines {
		if m.Machines[i].Match.MAC == "" && m.Machines[i].Answers != "" {
			return true
		}
	}
	return false
}

// decide says which entry a machine is, and whether it starts over the network.
// asked is whether its serial number has been asked for: before, it may still
// turn out to be one of the list.
func (m *Machines) decide(s Status, asked bool) (entry *Machine, start bool) {
	entry = m.find(s.MAC, s.Serial, s.UUID)
	installed := !s.Finished.IsZero()
	if entry == nil {
		if m.Unknown == "ignore" && (asked || s.Serial != "" || !m.bySerial()) {
			return nil, false
		}
		return nil, !installed
	}
	switch entry.Install {
	case "never":
		return entry, false
	case "always":
		return entry, true
	}
	return entry, !installed
}

// bySerial says whether an entry needs a serial number.
func (m *Machines) bySerial() bool {
	for i := range m.Machines {
		if m.Machines[i].Match.Serial != "" {
			return true
		}
	}
	return false
}
