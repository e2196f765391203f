package installer

import (
	"errors"
	"fmt"
	"regexp"
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
	Storage  Storage  `yaml:"storage" jsonschema:"required" jsonschema_description:"the disks and what they are made into"`
	Boot     Boot     `yaml:"boot,omitempty" jsonschema_description:"the boot loader's entry"`
}

// Host names the installed machine.
type Host struct {
	Hostname         string `yaml:"hostname" jsonschema:"required" jsonschema_description:"host name, RFC 1123"`
	RootPasswordHash string `yaml:"root_password_hash,omitempty" jsonschema_description:"crypt(3) hash of root's password, as openssl passwd -6 prints it; without it root cannot log in with a password"`
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
		bad("packages is empty; a bootable system needs at least a kernel, ashlar-loader and an init")
	}
	a.Storage.validate(bad)
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

// Schema returns the JSON Schema of the answer file.
func Schema() ([]byte, error) {
	return strictyaml.Schema(&Answers{}, "Ashlar answer file, version 1")
}
