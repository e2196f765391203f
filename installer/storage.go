package installer

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/diskkey"
	"ashlar/pkgtool/fault"
)

// Storage says which disks are used and how.
type Storage struct {
	Disk       Match   `yaml:"disk,omitempty" jsonschema_description:"the disk: conditions that exactly one disk fulfils"`
	Disks      []Match `yaml:"disks,omitempty" jsonschema_description:"instead of disk, the two disks of an array, each by conditions"`
	Layout     string  `yaml:"layout,omitempty" jsonschema:"enum=plain,enum=raid1,enum=luks,enum=lvm,enum=raid1+luks,enum=raid1+lvm,enum=luks+lvm,enum=raid1+luks+lvm" jsonschema_description:"what the root stands on, the lowest first: plain (default) is a partition, raid1 an array of two disks, luks encryption, lvm logical volumes"`
	Filesystem string  `yaml:"filesystem,omitempty" jsonschema:"enum=ext4,enum=xfs,enum=btrfs" jsonschema_description:"file system of the root; default ext4"`
	Swap       string  `yaml:"swap,omitempty" jsonschema_description:"size of a swap area, for example 2G; units K M G T are powers of 1024; default none; a layout that is not plain needs lvm for it"`
	LUKS       LUKS    `yaml:"luks,omitempty" jsonschema_description:"the secret of a layout with luks"`
}

// LUKS is what opens an encrypted root. Without any of it the installer asks for a
// passphrase.
type LUKS struct {
	Passphrase     string `yaml:"passphrase,omitempty" jsonschema_description:"what is typed at each start, in clear: who reads this file can open the disk"`
	PassphraseFile string `yaml:"passphrase_file,omitempty" jsonschema_description:"file of the installing system whose first line is the passphrase"`
	TPM2           *TPM2  `yaml:"tpm2,omitempty" jsonschema_description:"let the machine's TPM 2.0 open the disk, so that nothing is typed at a start; {} for what is usual; without a passphrase beside it one is made, and kept in /root/disk-recovery-key of the installed system"`
}

// TPM2 says what the key that a TPM keeps is bound to.
type TPM2 struct {
	PCRs []int `yaml:"pcrs,omitempty" jsonschema_description:"platform configuration registers that must hold at a start what they hold now, 0 to 23; default 7: how Secure Boot stands, and with whose keys"`
}

// registers are the PCRs of the answers, or those that are usual.
func (t *TPM2) registers() []int {
	if len(t.PCRs) == 0 {
		return diskkey.DefaultPCRs
	}
	return t.PCRs
}

// Match is a set of conditions on a disk; all that are given must hold.
type Match struct {
	Path   string `yaml:"path,omitempty" jsonschema_description:"device, for example /dev/vda"`
	ID     string `yaml:"id,omitempty" jsonschema_description:"name in /dev/disk/by-id, for example wwn-0x5000c500a1b2c3d4; * and ? are wildcards"`
	Serial string `yaml:"serial,omitempty" jsonschema_description:"serial number; * and ? are wildcards"`
	Model  string `yaml:"model,omitempty" jsonschema_description:"model; * and ? are wildcards"`
	Size   string `yaml:"size,omitempty" jsonschema_description:"at least (>=20G) or at most (<=2T); units K M G T are powers of 1024"`
	Empty  bool   `yaml:"empty,omitempty" jsonschema_description:"only a disk that holds nothing"`
	Choose string `yaml:"choose,omitempty" jsonschema:"enum=first,enum=smallest,enum=largest" jsonschema_description:"which one if several disks fulfil the conditions: first by name, smallest, largest; default none, which is an error"`
}

// Secret returns the passphrase that the answers give, or nil if a person is to
// be asked.
func (l LUKS) Secret() ([]byte, error) {
	if l.PassphraseFile == "" {
		return []byte(l.Passphrase), nil
	}
	text, err := os.ReadFile(l.PassphraseFile)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("storage.luks.passphrase_file: %w", err), fault.Usage, "nothing was written to a disk")
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if len(line) == 0 || len(line) > maxPassphrase {
		return nil, fault.Errorf(fault.Usage, "storage.luks.passphrase_file: the first line of %s has %d bytes; a passphrase has 1 to %d", l.PassphraseFile, len(line), maxPassphrase)
	}
	return line, nil
}

// File systems of a root.
const (
	ext4  = "ext4"
	xfs   = "xfs"
	btrfs = "btrfs"
)

// Layers of a layout, as the answers name them.
const (
	plain = "plain"
	raid1 = "raid1"
	luks  = "luks"
	lvm   = "lvm"
)

var layouts = []string{plain, raid1, luks, lvm, "raid1+luks", "raid1+lvm", "luks+lvm", "raid1+luks+lvm"}

// has says whether a layout has a layer.
func has(layout, layer string) bool { return slices.Contains(strings.Split(layout, "+"), layer) }

// rules are the conditions for each disk of the layout.
func (s *Storage) rules() []Match {
	if len(s.Disks) > 0 {
		return s.Disks
	}
	return []Match{s.Disk}
}

// ruleName names a rule for messages.
func (s *Storage) ruleName(i int) string {
	if len(s.Disks) > 0 {
		return fmt.Sprintf("storage.disks[%d]", i)
	}
	return "storage.disk"
}

// validate checks what the schema cannot say and fills in defaults.
func (s *Storage) validate(bad func(format string, args ...any)) {
	if s.Layout == "" {
		s.Layout = plain
	}
	if s.Filesystem == "" {
		s.Filesystem = ext4
	}
	if !slices.Contains(layouts, s.Layout) {
		bad("storage.layout %q is not known; known: %s", s.Layout, strings.Join(layouts, ", "))
	}
	if !slices.Contains([]string{ext4, xfs, btrfs}, s.Filesystem) {
		bad("storage.filesystem %q is not known; known: ext4, xfs, btrfs", s.Filesystem)
	}
	if s.Swap != "" {
		if _, err := parseSize(s.Swap); err != nil {
			bad("storage.swap: %w", err)
		} else if s.Layout != plain && !has(s.Layout, lvm) {
			bad("storage.swap needs logical volumes with layout %s; write layout: %s+lvm", s.Layout, s.Layout)
		}
	}
	switch {
	case len(s.Disks) > 0 && s.Disk != (Match{}):
		bad("storage has disk and disks; give one of them")
	case has(s.Layout, raid1) && len(s.Disks) != 2:
		bad("storage.layout %s needs two disks; list two conditions in storage.disks", s.Layout)
	case !has(s.Layout, raid1) && len(s.Disks) > 1:
		bad("storage.layout %s uses one disk, and storage.disks lists %d", s.Layout, len(s.Disks))
	}
	s.validateSecret(bad)
	for i, m := range s.rules() {
		m.validate(s.ruleName(i), bad)
	}
}

// maxPassphrase is what cryptsetup reads from a terminal.
const maxPassphrase = 512

func (s *Storage) validateSecret(bad func(format string, args ...any)) {
	l := s.LUKS
	switch {
	case l == (LUKS{}):
	case !has(s.Layout, luks):
		bad("storage.luks is given, and layout %s encrypts nothing; write a layout with luks", s.Layout)
	case l.Passphrase != "" && l.PassphraseFile != "":
		bad("storage.luks has passphrase and passphrase_file; give one of them")
	case l.TPM2 != nil && diskkey.CheckPCRs(l.TPM2.registers()) != nil:
		bad("storage.luks.tpm2.pcrs: %w", diskkey.CheckPCRs(l.TPM2.registers()))
	case len(l.Passphrase) > maxPassphrase || strings.ContainsAny(l.Passphrase, "\n\r\x00"):
		bad("storage.luks.passphrase must be one line of at most %d bytes, for it is typed at each start", maxPassphrase)
	}
}

func (m Match) validate(name string, bad func(format string, args ...any)) {
	if m == (Match{}) {
		bad("%s has no condition; give path, id, serial, model, size or empty", name)
	}
	if m == (Match{Choose: m.Choose}) && m.Choose != "" {
		bad("%s would choose among all disks; give a condition too, for example empty: true", name)
	}
	if m.Path != "" && (!strings.HasPrefix(m.Path, "/dev/") || path.Clean(m.Path) != m.Path) {
		bad("%s.path %q is not a device under /dev", name, m.Path)
	}
	if m.Size != "" {
		if _, _, err := parseSizeRule(m.Size); err != nil {
			bad("%s.size: %w", name, err)
		}
	}
	if !slices.Contains([]string{"", "first", "smallest", "largest"}, m.Choose) {
		bad("%s.choose %q is not known; known: first, smallest, largest", name, m.Choose)
	}
	for _, field := range [][2]string{{"id", m.ID}, {"serial", m.Serial}, {"model", m.Model}} {
		if _, err := path.Match(field[1], ""); err != nil {
			bad("%s.%s %q is not a pattern", name, field[0], field[1])
		}
	}
}

var (
	sizeRule = regexp.MustCompile(`^(>=|<=)\s*([0-9]{1,6}[KMGT])$`)
	sizeText = regexp.MustCompile(`^([0-9]{1,6})([KMGT])$`)
)

// parseSizeRule reads ">=20G" into its operator and a number of bytes.
func parseSizeRule(s string) (operator string, bytes int64, err error) {
	m := sizeRule.FindStringSubmatch(s)
	if m == nil {
		return "", 0, fmt.Errorf("%q is not a size rule; write for example >=20G or <=2T", s)
	}
	bytes, err = parseSize(m[2])
	return m[1], bytes, err
}

// parseSize reads "20G" into a number of bytes.
func parseSize(s string) (int64, error) {
	m := sizeText.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not a size; write for example 512M or 2G", s)
	}
	n, _ := strconv.ParseInt(m[1], 10, 64) // at most six digits
	return n << (10 * (1 + strings.Index("KMGT", m[2]))), nil
}
