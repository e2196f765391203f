package installer

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// AnswersVersion is the version of the answer file that this program reads.
const AnswersVersion = 1

// Answers is the answer file: everything that an installation needs to know.
type Answers struct {
	Version  int      `yaml:"version" jsonschema:"required,enum=1" jsonschema_description:"format version, 1"`
	Erase    bool     `yaml:"erase,omitempty" jsonschema_description:"allow a disk that holds data to be overwritten; default false"`
	System   Host     `yaml:"system" jsonschema:"required" jsonschema_description:"the installed machine"`
	Packages []string `yaml:"packages" jsonschema:"required" jsonschema_description:"packages to install, with what they require; a kernel and grub among them"`
	Storage  Storage  `yaml:"storage" jsonschema:"required" jsonschema_description:"the disk and what it is made into"`
	Boot     Boot     `yaml:"boot,omitempty" jsonschema_description:"the boot loader's entry"`
}

// Host names the installed machine.
type Host struct {
	Hostname         string `yaml:"hostname" jsonschema:"required" jsonschema_description:"host name, RFC 1123"`
	RootPasswordHash string `yaml:"root_password_hash,omitempty" jsonschema_description:"crypt(3) hash of root's password, as openssl passwd -6 prints it; without it root cannot log in with a password"`
}

// Storage says which disk is used and how.
type Storage struct {
	Disk   Match  `yaml:"disk" jsonschema:"required" jsonschema_description:"conditions that exactly one disk fulfils"`
	Layout string `yaml:"layout,omitempty" jsonschema:"enum=plain" jsonschema_description:"plain (default): BIOS boot, EFI system partition, one ext4 root"`
}

// Match is a set of conditions on a disk; all that are given must hold.
type Match struct {
	Path   string `yaml:"path,omitempty" jsonschema_description:"device, for example /dev/vda"`
	Serial string `yaml:"serial,omitempty" jsonschema_description:"serial number; * and ? are wildcards"`
	Model  string `yaml:"model,omitempty" jsonschema_description:"model; * and ? are wildcards"`
	Size   string `yaml:"size,omitempty" jsonschema_description:"at least (>=20G) or at most (<=2T); units K M G T are powers of 1024"`
}

// Boot is the kernel's part of the answers.
type Boot struct {
	Cmdline string `yaml:"cmdline,omitempty" jsonschema_description:"kernel command line after root=; default console=tty0 console=ttyS0,115200"`
}

// DefaultCmdline is used when the answers give none: the screen and the first
// serial line.
const DefaultCmdline = "console=tty0 console=ttyS0,115200"

// ReadAnswers reads and validates an answer file. Every mistake is reported at
// once, as class fault.Usage.
func ReadAnswers(file string) (*Answers, error) {
	var a Answers
	if err := strictyaml.ReadFile(file, &a); err != nil {
		return nil, err
	}
	if err := a.Validate(); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", file, err), fault.Usage, "pkgtool installer schema shows what each key means")
	}
	return &a, nil
}

var hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// Validate checks what the schema cannot say and fills in defaults.
func (a *Answers) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if a.Version != AnswersVersion {
		bad("version is %d; this program reads version %d", a.Version, AnswersVersion)
	}
	if !hostname.MatchString(a.System.Hostname) || len(a.System.Hostname) > 253 {
		bad("system.hostname %q is not a host name", a.System.Hostname)
	}
	if h := a.System.RootPasswordHash; h != "" && !passwordHash.MatchString(h) {
		bad("system.root_password_hash is not a crypt(3) hash; make one with: openssl passwd -6")
	}
	if len(a.Packages) == 0 {
		bad("packages is empty; a bootable system needs at least a kernel, grub and an init")
	}
	if a.Storage.Layout == "" {
		a.Storage.Layout = "plain"
	}
	if a.Storage.Layout != "plain" {
		bad("storage.layout %q is not known; known: plain", a.Storage.Layout)
	}
	m := a.Storage.Disk
	if m == (Match{}) {
		bad("storage.disk has no condition; give path, serial, model or size")
	}
	if m.Path != "" && (!strings.HasPrefix(m.Path, "/dev/") || path.Clean(m.Path) != m.Path) {
		bad("storage.disk.path %q is not a device under /dev", m.Path)
	}
	if m.Size != "" {
		if _, _, err := parseSizeRule(m.Size); err != nil {
			bad("storage.disk.size: %w", err)
		}
	}
	for field, pattern := range map[string]string{"serial": m.Serial, "model": m.Model} {
		if _, err := path.Match(pattern, ""); err != nil {
			bad("storage.disk.%s %q is not a pattern", field, pattern)
		}
	}
	if a.Boot.Cmdline == "" {
		a.Boot.Cmdline = DefaultCmdline
	}
	// The line stands unquoted in the boot loader's configuration.
	if strings.ContainsAny(a.Boot.Cmdline, "\n\r\x00;&|<>$\\\"'{}") {
		bad("boot.cmdline holds a character with a meaning for the boot loader; leave out ; & | < > $ \\ { } and quotes")
	}
	return errors.Join(problems...)
}

// passwordHash is crypt(5): $id$..., in its own alphabet.
var passwordHash = regexp.MustCompile(`^\$[0-9a-z]{1,3}\$[A-Za-z0-9./$=,]{8,200}$`)

var sizeRule = regexp.MustCompile(`^(>=|<=)\s*([0-9]{1,6})([KMGT])$`)

// parseSizeRule reads ">=20G" into its operator and a number of bytes.
func parseSizeRule(s string) (operator string, bytes int64, err error) {
	m := sizeRule.FindStringSubmatch(s)
	if m == nil {
		return "", 0, fmt.Errorf("%q is not a size rule; write for example >=20G or <=2T", s)
	}
	n, _ := strconv.ParseInt(m[2], 10, 64) // at most six digits
	return m[1], n << (10 * (1 + strings.Index("KMGT", m[3]))), nil
}

// Schema returns the JSON Schema of the answer file.
func Schema() ([]byte, error) {
	return strictyaml.Schema(&Answers{}, "Ashlar answer file, version 1")
}
