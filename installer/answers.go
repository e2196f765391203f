package installer

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"ashlar/iso"
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

	Users        []iso.User       `yaml:"users,omitempty" jsonschema_description:"people who may log in; root can be one of them"`
	Network      []Interface      `yaml:"network,omitempty" jsonschema_description:"network interfaces, for systemd-networkd; default: what the packages say, which is DHCP on every card"`
	Services     *iso.Services    `yaml:"services,omitempty" jsonschema_description:"units of systemd that start, that do not, and that never do"`
	Repositories []iso.Repository `yaml:"repositories,omitempty" jsonschema_description:"repositories of the installation and of the target, in place of those of the same names that the installing system has; it must trust them (/etc/pkgtool/trust/NAME)"`
	Offline      bool             `yaml:"offline,omitempty" jsonschema_description:"take packages from the medium only; default: from the network what the medium has not"`
	Proxy        Proxy            `yaml:"proxy,omitempty" jsonschema_description:"what the target reaches HTTP and HTTPS through"`
	Files        []File           `yaml:"files,omitempty" jsonschema_description:"files to put into the target, in place of those of packages"`
	Hooks        Hooks            `yaml:"hooks,omitempty" jsonschema_description:"shell scripts that run in the target"`
	Finish       string           `yaml:"finish,omitempty" jsonschema:"enum=stay,enum=reboot,enum=poweroff" jsonschema_description:"what follows; default: reboot for an installation by itself, else stay"`
}

// Host names the installed machine.
type Host struct {
	Hostname         string `yaml:"hostname" jsonschema:"required" jsonschema_description:"host name, RFC 1123"`
	RootPasswordHash string `yaml:"root_password_hash,omitempty" jsonschema_description:"crypt(3) hash of root's password, as openssl passwd -6 prints it; without it root cannot log in with a password"`
	RootSSH          string `yaml:"root_ssh,omitempty" jsonschema:"enum=no,enum=keys,enum=password" jsonschema_description:"how root may log in over SSH: not at all, with keys, or with the password, too; default: what openssh-server says, which is keys"`
	Timezone         string `yaml:"timezone,omitempty" jsonschema_description:"time zone, as Europe/Berlin; default: UTC"`
	Locale           string `yaml:"locale,omitempty" jsonschema_description:"LANG of the system, as C.UTF-8"`
	Keymap           string `yaml:"keymap,omitempty" jsonschema_description:"keyboard of the console, as de"`
}

// Boot is the kernel's part of the answers.
type Boot struct {
	Cmdline  string `yaml:"cmdline,omitempty" jsonschema_description:"kernel command line after root=; default console=tty0 console=ttyS0,115200"`
	Firmware string `yaml:"firmware,omitempty" jsonschema:"enum=first,enum=add,enum=keep" jsonschema_description:"where UEFI firmware has the installed system in its boot order: first, after all others (add), or nowhere (keep leaves the order alone); default: first, but keep where firmware started the installer over the network, for it shall go on asking there"`

	SecureBoot *bool `yaml:"secure_boot,omitempty" jsonschema_description:"sign what the system starts with a key of its own, made by the installation, and enroll that in UEFI firmware, which must be in setup mode; Secure Boot is on from the next start, and the medium's owner is trusted, too; default: false, and then a machine with Secure Boot on is refused, on which the system would not start; a false that is written down is taken at its word"`
}

func (b Boot) secure() bool { return b.SecureBoot != nil && *b.SecureBoot }

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
	if a.Boot.Firmware != "" && !slices.Contains(firmwareChoices, a.Boot.Firmware) {
		bad("boot.firmware %q is not known; known: %s", a.Boot.Firmware, strings.Join(firmwareChoices, ", "))
	}
	if t := a.Storage.LUKS.TPM2; a.Boot.secure() && t != nil && slices.Contains(t.registers(), 7) {
		bad("boot.secure_boot changes PCR 7, to which storage.luks.tpm2 binds the disk's key; leave tpm2 out, and run pkgtool diskkey enroll after the first start")
	}
	a.Storage.validate(bad)
	a.validateSetup(bad)
	if a.Boot.Cmdline == "" {
		a.Boot.Cmdline = DefaultCmdline
	}
	// The line stands unquoted in the boot loader's configuration.
	if strings.ContainsAny(a.Boot.Cmdline, "\n\r\x00;&|<>$\\\"'{}") {
		bad("boot.cmdline holds a character with a meaning for the boot loader; leave out ; & | < > $ \\ { } and quotes")
	}
	return errors.Join(problems...)
}

// Finishes are the values of finish.
var Finishes = []string{"stay", "reboot", "poweroff"}

// rootSSH translates root_ssh into what sshd_config(5) says.
var rootSSH = map[string]string{"no": "no", "keys": "prohibit-password", "password": "yes"}

// maxScript is how long one hook may be, in bytes.
const maxScript = 64 << 10

func (a *Answers) validateSetup(bad func(format string, args ...any)) {
	for _, err := range a.setup().Check() {
		bad("%w", err)
	}
	if a.System.RootSSH != "" && rootSSH[a.System.RootSSH] == "" {
		bad("system.root_ssh %q is not known; known: no, keys, password", a.System.RootSSH)
	}
	if a.System.RootSSH == "password" && a.System.RootPasswordHash == "" {
		bad("system.root_ssh is password, and root has none; give system.root_password_hash")
	}
	for _, u := range a.Users {
		if u.Name == "root" && u.Password != "" && a.System.RootPasswordHash != "" {
			bad("root's password is given twice; give system.root_password_hash or the password_hash of the user root")
		}
	}
	validateNetwork(a.Network, bad)
	if u, err := url.Parse(a.Proxy.URL); a.Proxy.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		bad("proxy.url %q is not a URL with http or https", a.Proxy.URL)
	}
	for _, text := range append([]string{a.Proxy.URL}, a.Proxy.Except...) {
		if strings.ContainsAny(text, "\"'\\%$, \n\t") {
			bad("proxy: %q has a character that files of settings give a meaning", text)
		}
	}
	for i, r := range a.Repositories {
		if !repositoryName.MatchString(r.Name) {
			bad("repositories[%d].name %q is not of lower-case letters, digits, dots and dashes", i, r.Name)
		}
		if r.Name == iso.MediumRepository {
			bad("repositories[%d].name %s is that of the repository on the medium; choose another", i, r.Name)
		}
	}
	if len(a.Proxy.Except) > 0 && a.Proxy.URL == "" {
		bad("proxy.except is given without proxy.url")
	}
	for when, scripts := range map[string][]string{"before": a.Hooks.Before, "after": a.Hooks.After} {
		for i, script := range scripts {
			if strings.TrimSpace(script) == "" || len(script) > maxScript || strings.ContainsRune(script, 0) {
				bad("hooks.%s[%d] is empty, longer than %d bytes or no text", when, i, maxScript)
			}
		}
	}
	if a.Finish != "" && !slices.Contains(Finishes, a.Finish) {
		bad("finish %q is not known; known: %s", a.Finish, strings.Join(Finishes, ", "))
	}
}

var repositoryName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

// passwordHash is crypt(5): $id$..., in its own alphabet.
var passwordHash = regexp.MustCompile(`^\$[0-9a-z]{1,3}\$[A-Za-z0-9./$=,]{8,200}$`)

// Schema returns the JSON Schema of the answer file.
func Schema() ([]byte, error) {
	return strictyaml.Schema(&Answers{}, "Ashlar answer file, version 1")
}
