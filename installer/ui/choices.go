package ui

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/installer"
	"ashlar/iso"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// Facts are what a person can choose from.
type Facts struct {
	Disks    []installer.Disk
	Hostname string   // proposed
	Packages []string // what the system gets anyway
	Offers   []Offer  // what it can get besides
	TPM      bool     // the machine has one that could open an encrypted disk
	Setup    bool     // the firmware takes a key of Secure Boot
}

// Offer is something to install besides.
type Offer struct {
	Name    string // package or group
	Summary string
}

// Decision is what is to be done with the answers.
type Decision string

// The decisions.
const (
	Install Decision = "install" // write the answer file, and install now
	Save    Decision = "save"    // write the answer file
	Quit    Decision = "quit"    // write nothing
)

// choices are the fields of all screens.
type choices struct {
	facts Facts

	disk       string // path
	layout     string
	filesystem string
	swap       string // size; "" is none
	tpm        bool   // opens the encrypted disk
	hostname   string
	timezone   string // "" is UTC
	cmdline    string
	secureBoot bool // what starts is signed

	password, again string // of root
	sshKey          string // of root
	extras          []string

	decision  Decision
	confirmed string
}

func newChoices(f Facts) *choices {
	c := &choices{facts: f, hostname: f.Hostname, cmdline: installer.DefaultCmdline, layout: "plain", filesystem: "ext4", tpm: f.TPM, decision: Install}
	if usable := c.usable(); len(usable) > 0 {
		c.disk = usable[0].Path
	}
	return c
}

// usable are the disks that can be installed on, blank ones first.
func (c *choices) usable() []installer.Disk {
	var list []installer.Disk
	for _, d := range c.facts.Disks {
		if d.Mounted == "" && !d.ReadOnly {
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(a, b installer.Disk) int {
		switch {
		case (a.Holds == "") == (b.Holds == ""):
			return 0
		case a.Holds == "":
			return -1
		}
		return 1
	})
	return list
}

func (c *choices) chosen() (installer.Disk, bool) {
	for _, d := range c.facts.Disks {
		if d.Path == c.disk {
			return d, true
		}
	}
	return installer.Disk{}, false
}

// rounds of SHA-512 for a password, the number that the system's own settings name.
const rounds = 100000

// answers returns the answer file that the choices make.
func (c *choices) answers() (*installer.Answers, error) {
	disk, ok := c.chosen()
	if !ok {
		return nil, fmt.Errorf("no disk is chosen")
	}
	a := &installer.Answers{Version: installer.AnswersVersion, Erase: disk.Holds != ""}
	a.System.Hostname = c.hostname
	a.Boot.Cmdline = c.cmdline
	a.System.Timezone = strings.TrimSpace(c.timezone)
	a.Storage.Disk = matchOf(disk, c.facts.Disks)
	a.Storage.Layout, a.Storage.Filesystem, a.Storage.Swap = c.layout, c.filesystem, strings.TrimSpace(c.swap)
	if c.encrypted() && c.tpm {
		a.Storage.LUKS.TPM2 = &installer.TPM2{}
	}
	if c.secureBoot {
		a.Boot.SecureBoot = &c.secureBoot
	}
	if key := strings.TrimSpace(c.sshKey); key != "" {
		a.Users = []iso.User{{Name: "root", SSHKeys: []string{key}}}
	}
	a.Packages = slices.Clone(c.facts.Packages)
	for _, name := range c.extras {
		if !slices.Contains(a.Packages, name) {
			a.Packages = append(a.Packages, name)
		}
	}
	if c.password != "" {
		hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(rounds))
		if err != nil {
			return nil, err
		}
		digest, err := hasher.Hash(c.password)
		if err != nil {
			return nil, fmt.Errorf("hash the password: %w", err)
		}
		a.System.RootPasswordHash = digest.Encode()
	}
	return a, a.Validate()
}

// encrypted says whether the layout needs something that opens the disk.
func (c *choices) encrypted() bool { return slices.Contains(strings.Split(c.layout, "+"), "luks") }

// checkWith says what the answers' own rules have against the choices, if they were
// as change makes them.
func (c *choices) checkWith(change func(*choices)) error {
	trial := *c
	trial.password = "" // its hash takes time
	change(&trial)
	_, err := trial.answers()
	return err
}

// matchOf names a disk by what stays the same when another is put in: its
// serial number if no other has it, else its path.
func matchOf(d installer.Disk, all []installer.Disk) installer.Match {
	if d.Serial == "" {
		return installer.Match{Path: d.Path}
	}
	for _, other := range all {
		if other.Path != d.Path && other.Serial == d.Serial {
			return installer.Match{Path: d.Path}
		}
	}
	return installer.Match{Serial: strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(d.Serial)}
}

// summary tells what would be done, or why it cannot be.
func (c *choices) summary() (string, error) {
	disk, ok := c.chosen()
	if !ok {
		return "", fmt.Errorf("no disk is chosen")
	}
	password := c.password
	c.password = "" // its hash takes time, and is not shown
	a, err := c.answers()
	c.password = password
	if err != nil {
		return "", err
	}
	plan, err := installer.MakePlan(a, disk)
	if err != nil {
		return "", err
	}
	return strings.Join(plan.Describe(), "\n"), nil
}
