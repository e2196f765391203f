package iso

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ashlar/iso/squashfs"
)

const (
	defaultTimeout = 1
	maxTimeout     = 3600
	maxDisk        = 1 << 50
)

var (
	nameFormat    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)
	volumeFormat  = regexp.MustCompile(`^[A-Z0-9_]{1,32}$`)
	hostFormat    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	modeFormat    = regexp.MustCompile(`^[0-7]{3,4}$`)
	accountFormat = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)
	hashFormat    = regexp.MustCompile(`^\$[0-9a-z]+\$[./0-9A-Za-z$,=-]+$`)
	keyFormat     = regexp.MustCompile(`^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n]*)?$`)
	unitFormat    = regexp.MustCompile(`^[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|target|path|mount|automount|swap|slice)$`)
	zoneFormat    = regexp.MustCompile(`^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`)
	wordFormat    = regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`)
	idFormat      = regexp.MustCompile(`^[a-z0-9._-]+$`)
	sizeFormat    = regexp.MustCompile(`^[1-9][0-9]{0,6}[MGT]$`)
)

func (m *Image) check() error {
	switch {
	case m.Schema != 1:
		return fmt.Errorf("schema is %d; this pkgtool reads schema 1", m.Schema)
	case !nameFormat.MatchString(m.Name):
		return fmt.Errorf("name %q is not of lower-case letters, digits, dots and dashes", m.Name)
	case m.Summary == "" || strings.ContainsAny(m.Summary, "\n\"'$\\{}"):
		return errors.New("summary must be one line without quotes, $, \\ and braces")
	case !volumeFormat.MatchString(m.Volume):
		return fmt.Errorf("volume %q is not of 1 to 32 characters A-Z, 0-9 and _", m.Volume)
	case len(m.Packages) == 0:
		return errors.New("packages is empty; an image contains at least one package")
	case strings.ContainsAny(m.Cmdline, "\n\"'$\\;{}&|<>"):
		return errors.New("cmdline has a character that GRUB's script language gives a meaning")
	case len(m.Cmdline) > 1500:
		return errors.New("cmdline is longer than 1500 characters; the kernel reads 2048")
	case *m.Timeout < 0 || *m.Timeout > maxTimeout:
		return fmt.Errorf("timeout %d is not from 0 to %d seconds", *m.Timeout, maxTimeout)
	case m.Hostname != "" && !hostFormat.MatchString(m.Hostname):
		return fmt.Errorf("hostname %q is not a host name", m.Hostname)
	}
	if err := m.checkFormats(); err != nil {
		return err
	}
	switch squashfs.Level(m.Compression) {
	case squashfs.Default, squashfs.Better, squashfs.Best:
	default:
		return fmt.Errorf("compression %q is not known; use default, better or best", m.Compression)
	}
	if _, err := m.Dependencies(); err != nil {
		return err
	}
	if _, err := m.Offered(); err != nil {
		return err
	}
	if _, err := m.Carried(); err != nil {
		return err
	}
	for _, check := range []func() error{m.checkFiles, m.checkSettings, m.checkServices, m.checkUsers} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (m *Image) checkFormats() error {
	for i, f := range m.Formats {
		kind, err := FormatOf(f)
		switch {
		case err != nil:
			return err
		case slices.Contains(m.Formats[:i], f):
			return fmt.Errorf("format %s stands twice", f)
		case kind.boots && m.Kernel == NoKernel:
			return fmt.Errorf("format %s needs a kernel; without one only tar and oci can be made", f)
		}
	}
	for _, r := range m.Repositories {
		if r.Name == MediumRepository {
			return fmt.Errorf("repositories: the name %s is that of the repository on the medium; choose another", r.Name)
		}
	}
	if m.Disk != nil && m.Disk.Size != "" {
		if _, err := m.Disk.bytes(); err != nil {
			return err
		}
	}
	for _, f := range m.KernelFragments {
		if !filepath.IsLocal(f) || !strings.HasSuffix(f, ".config") {
			return fmt.Errorf("kernel fragment %q is not a path beside the definition that ends in .config", f)
		}
	}
	return nil
}

// bytes is the size of the disk, 0 if none is given.
func (d *Disk) bytes() (int64, error) {
	if d == nil || d.Size == "" {
		return 0, nil
	}
	n, unit := int64(0), byte(0)
	if sizeFormat.MatchString(d.Size) {
		if _, err := fmt.Sscanf(d.Size, "%d%c", &n, &unit); err != nil {
			return 0, fmt.Errorf("disk size %q: %w", d.Size, err)
		}
	}
	n *= map[byte]int64{'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}[unit]
	if n == 0 || n > maxDisk {
		return 0, fmt.Errorf("disk size %q is not a number with M, G or T behind it", d.Size)
	}
	return n, nil
}

func (m *Image) checkSettings() error {
	for _, c := range []struct {
		what, value string
		form        *regexp.Regexp
	}{{"timezone", m.Timezone, zoneFormat}, {"locale", m.Locale, wordFormat}, {"keymap", m.Keymap, wordFormat}} {
		if c.value != "" && !c.form.MatchString(c.value) {
			return fmt.Errorf("%s %q has a form that none has", c.what, c.value)
		}
	}
	b := m.Branding
	if b == nil {
		return nil
	}
	if b.ID != "" && !idFormat.MatchString(b.ID) {
		return fmt.Errorf("branding: id %q is not of lower-case letters, digits, dots, dashes and underscores", b.ID)
	}
	for _, text := range []string{b.Name, b.Version, b.Home, b.Support} {
		if strings.ContainsAny(text, "\n\"'$`\\") {
			return fmt.Errorf("branding: %q has a character that os-release gives a meaning", text)
		}
	}
	return nil
}

func (m *Image) checkServices() error {
	if m.Services == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, unit := range slices.Concat(m.Services.Enable, m.Services.Disable, m.Services.Mask) {
		if !unitFormat.MatchString(unit) {
			return fmt.Errorf("services: %q is not a unit; give its full name, as sshd.service", unit)
		}
		if seen[unit] {
			return fmt.Errorf("services: %s stands twice", unit)
		}
		seen[unit] = true
	}
	return nil
}

func (m *Image) checkUsers() error {
	names, numbers := map[string]bool{}, map[uint32]string{}
	for _, u := range m.Users {
		switch {
		case !accountFormat.MatchString(u.Name):
			return fmt.Errorf("users: name %q is not of up to 31 lower-case letters, digits, - and _", u.Name)
		case names[u.Name]:
			return fmt.Errorf("users: %s stands twice", u.Name)
		case u.UID != 0 && numbers[u.UID] != "":
			return fmt.Errorf("users: %s and %s have the number %d both", numbers[u.UID], u.Name, u.UID)
		case u.UID != 0 && (u.UID < firstUser || u.UID > lastUser):
			return fmt.Errorf("users: %s has the number %d; people have %d to %d", u.Name, u.UID, firstUser, lastUser)
		case u.Password != "" && !hashFormat.MatchString(u.Password):
			return fmt.Errorf("users: password_hash of %s is not a hash; make one with openssl passwd -6", u.Name)
		case strings.ContainsAny(u.Comment, ":,\n\"\\"):
			return fmt.Errorf("users: comment of %s has a character that account files give a meaning", u.Name)
		case u.Name == "root" && (u.UID != 0 || u.Home != "" || u.Comment != "" || len(u.Groups) > 0):
			return errors.New("users: of root only shell, password_hash and ssh_keys can be set")
		}
		for _, p := range []string{u.Home, u.Shell} {
			if p != "" && (!path.IsAbs(p) || path.Clean(p) != p || strings.ContainsAny(p, ": \n\"\\") || p == "/") {
				return fmt.Errorf("users: %q of %s is not an absolute, clean path", p, u.Name)
			}
		}
		for _, g := range u.Groups {
			if !accountFormat.MatchString(g) {
				return fmt.Errorf("users: group %q of %s is not a group's name", g, u.Name)
			}
		}
		for _, k := range u.SSHKeys {
			if !keyFormat.MatchString(k) {
				return fmt.Errorf("users: %q of %s is not a public key; give the line of its .pub file", k, u.Name)
			}
		}
		names[u.Name] = true
		if u.UID != 0 {
			numbers[u.UID] = u.Name
		}
	}
	return nil
}

func (m *Image) checkFiles() error {
	for _, r := range m.Repositories {
		if r.Name == "" || len(r.URLs) == 0 {
			return errors.New("a repository needs a name and at least one url")
		}
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		given := 0
		for _, s := range []string{f.Content, f.From, f.Link} {
			if s != "" {
				given++
			}
		}
		switch {
		case !path.IsAbs(f.Path) || f.Path != path.Clean(f.Path) || f.Path == "/":
			return fmt.Errorf("file path %q is not absolute and clean", f.Path)
		case seen[f.Path]:
			return fmt.Errorf("file %s stands twice", f.Path)
		case given > 1:
			return fmt.Errorf("file %s: give one of content, from and link", f.Path)
		case f.From != "" && !filepath.IsLocal(f.From):
			return fmt.Errorf("file %s: from must be a path beside the definition, not %q", f.Path, f.From)
		case f.Mode != "" && !modeFormat.MatchString(f.Mode):
			return fmt.Errorf("file %s: mode %q is not octal, like 0644", f.Path, f.Mode)
		}
		seen[f.Path] = true
	}
	return nil
}
