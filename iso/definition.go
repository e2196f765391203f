package iso

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"ashlar/iso/squashfs"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
	"ashlar/pkgtool/version"
)

// Image is an image definition, a file of images/.
type Image struct {
	Schema       int          `yaml:"schema" jsonschema:"enum=1" jsonschema_description:"version of this format"`
	Name         string       `yaml:"name" jsonschema_description:"name of the image; also the name of the file without .yaml"`
	Summary      string       `yaml:"summary" jsonschema_description:"one line for a list of images; also the title in the boot menu"`
	Formats      []string     `yaml:"formats,omitempty" jsonschema:"enum=iso,enum=raw,enum=qcow2,enum=vmdk,enum=netboot,enum=tar,enum=oci" jsonschema_description:"what to make; default: [iso]"`
	Volume       string       `yaml:"volume,omitempty" jsonschema_description:"volume id, by which the started system finds its medium; A-Z, 0-9 and _; default: ASHLAR"`
	Packages     []string     `yaml:"packages" jsonschema_description:"what the image must contain, as dependencies: names with constraints, and @NAME of groups of recipes/groups.yaml; what they require comes along"`
	Offers       []string     `yaml:"offers,omitempty" jsonschema_description:"further packages, and @NAME of groups, to build and publish with the image, for its systems to install; not in the image"`
	Medium       []string     `yaml:"medium,omitempty" jsonschema_description:"packages, and @NAME of groups, that the ISO carries as a signed repository for installing without a network, with what they require; the image's own packages and its boot loader are always among them; default: no repository on the ISO"`
	Kernel       string       `yaml:"kernel,omitempty" jsonschema_description:"package that brings the kernel, or none for containers; default: linux-virt"`
	Bootloader   string       `yaml:"bootloader,omitempty" jsonschema_description:"package that brings GRUB's images; default: grub"`
	LiveInit     string       `yaml:"live_init,omitempty" jsonschema_description:"package that brings the first program of the initial RAM file system; default: ashlar-liveinit"`
	Cmdline      string       `yaml:"cmdline,omitempty" jsonschema_description:"kernel command line; default: console=tty0 console=ttyS0,115200"`
	Timeout      *int         `yaml:"timeout,omitempty" jsonschema_description:"seconds that the boot menu waits; default: 1"`
	Modules      []string     `yaml:"modules,omitempty" jsonschema_description:"kernel modules to load always, before the medium or the root is looked for, by name; those they need come along; drivers of storage need not be named, they are loaded for the devices that are there"`
	Compression  string       `yaml:"compression,omitempty" jsonschema:"enum=default,enum=better,enum=best" jsonschema_description:"of the root; default: better"`
	SecureBoot   bool         `yaml:"secure_boot,omitempty" jsonschema_description:"of the format iso: sign boot loader, menu, kernel and initial RAM file system with the key of pkgtool key secureboot, so that machines start it under Secure Boot which have that key; they start it without Secure Boot too"`
	Disk         *Disk        `yaml:"disk,omitempty" jsonschema_description:"of the formats raw, qcow2 and vmdk"`
	Container    *Container   `yaml:"container,omitempty" jsonschema_description:"of the format oci: what a container of the image runs"`
	Hostname     string       `yaml:"hostname,omitempty" jsonschema_description:"host name of the system"`
	Timezone     string       `yaml:"timezone,omitempty" jsonschema_description:"time zone, as Europe/Berlin; default: UTC"`
	Locale       string       `yaml:"locale,omitempty" jsonschema_description:"LANG of the system, as C.UTF-8"`
	Keymap       string       `yaml:"keymap,omitempty" jsonschema_description:"keyboard of the console, as de"`
	Branding     *Branding    `yaml:"branding,omitempty" jsonschema_description:"what the system calls itself; default: what the packages say"`
	Services     *Services    `yaml:"services,omitempty" jsonschema_description:"units of systemd that start, that do not, and that never do"`
	Users        []User       `yaml:"users,omitempty" jsonschema_description:"people who may log in; root can be one of them"`
	Repositories []Repository `yaml:"repositories,omitempty" jsonschema_description:"repositories that the system uses"`
	Files        []File       `yaml:"files,omitempty" jsonschema_description:"files to add to what the packages bring, or to put in place of it"`

	// KernelFragments are files beside the definition; see [Image.FragmentFiles].
	KernelFragments []string `yaml:"kernel_fragments,omitempty" jsonschema_description:"files beside the definition with own configuration (.config text) that the kernel is built with; what they ask for is required"`

	dir string // of the definition, for files[].from
}

// Disk is a virtual machine's disk.
type Disk struct {
	Size string `yaml:"size,omitempty" jsonschema_description:"of the whole disk, as 8G; default: what the content needs and 1 GiB more"`
}

// Container is the configuration of an OCI image.
type Container struct {
	Entrypoint []string          `yaml:"entrypoint,omitempty" jsonschema_description:"program and first arguments"`
	Command    []string          `yaml:"command,omitempty" jsonschema_description:"default arguments, or the program if there is no entrypoint"`
	User       string            `yaml:"user,omitempty" jsonschema_description:"user, or user:group, that it runs as; default: root"`
	WorkingDir string            `yaml:"working_dir,omitempty" jsonschema_description:"folder that it starts in; default: /"`
	Env        map[string]string `yaml:"env,omitempty" jsonschema_description:"environment; PATH is set if it is not here"`
	Ports      []string          `yaml:"ports,omitempty" jsonschema_description:"ports that it listens on, as 80/tcp"`
	Labels     map[string]string `yaml:"labels,omitempty" jsonschema_description:"labels"`
}

// Branding replaces fields of os-release and the texts before and after login.
type Branding struct {
	Name    string `yaml:"name,omitempty" jsonschema_description:"name of the system, as Example Server"`
	ID      string `yaml:"id,omitempty" jsonschema_description:"the same for programs; lower case; the original stays as ID_LIKE"`
	Version string `yaml:"version,omitempty" jsonschema_description:"version of the system, as 2026.1"`
	Home    string `yaml:"home,omitempty" jsonschema_description:"address of its home page"`
	Support string `yaml:"support,omitempty" jsonschema_description:"address where users find help"`
	Issue   string `yaml:"issue,omitempty" jsonschema_description:"text before the login prompt of consoles"`
	Motd    string `yaml:"motd,omitempty" jsonschema_description:"text after login"`
}

// Services are units of systemd by their full names.
type Services struct {
	Enable  []string `yaml:"enable,omitempty" jsonschema_description:"units that start, as sshd.service"`
	Disable []string `yaml:"disable,omitempty" jsonschema_description:"units that do not start by themselves"`
	Mask    []string `yaml:"mask,omitempty" jsonschema_description:"units that cannot be started at all"`
}

// User is a person's account.
type User struct {
	Name     string   `yaml:"name" jsonschema_description:"login name"`
	Comment  string   `yaml:"comment,omitempty" jsonschema_description:"full name"`
	UID      uint32   `yaml:"uid,omitempty" jsonschema_description:"number of user and group; default: the next from 1000 on"`
	Groups   []string `yaml:"groups,omitempty" jsonschema_description:"further groups, as wheel; those that do not exist are made"`
	Shell    string   `yaml:"shell,omitempty" jsonschema_description:"login shell; default: /bin/sh"`
	Home     string   `yaml:"home,omitempty" jsonschema_description:"home folder; default: /home/NAME"`
	Password string   `yaml:"password_hash,omitempty" jsonschema_description:"hash of the password, as openssl passwd -6 prints it; default: no login by password"`
	SSHKeys  []string `yaml:"ssh_keys,omitempty" jsonschema_description:"public keys that may log in, as ssh-ed25519 AAAA... comment"`
}

// Repository is a repository of the system.
type Repository struct {
	Name    string   `yaml:"name" jsonschema_description:"name of the repository"`
	URLs    []string `yaml:"urls" jsonschema_description:"where it is served: http, https, file or oci"`
	Channel string   `yaml:"channel,omitempty" jsonschema_description:"default: stable"`
}

// File is a file that a definition adds.
type File struct {
	Path    string `yaml:"path" jsonschema_description:"absolute path in the system"`
	Content string `yaml:"content,omitempty" jsonschema_description:"the file's text"`
	From    string `yaml:"from,omitempty" jsonschema_description:"file beside the definition to copy"`
	Link    string `yaml:"link,omitempty" jsonschema_description:"target, for a symbolic link"`
	Mode    string `yaml:"mode,omitempty" jsonschema_description:"permission bits in octal; default: 0644"`
}

// NoKernel as the kernel's name makes an image without one, for containers.
const NoKernel = "none"

// Read reads and checks a definition. Its errors are of class fault.Usage.
func Read(path string) (*Image, error) {
	m := &Image{}
	if err := strictyaml.ReadFile(path, m); err != nil {
		return nil, err
	}
	m.dir = filepath.Dir(path)
	m.fillDefaults()
	if err := m.check(); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "")
	}
	if want := strings.TrimSuffix(filepath.Base(path), ".yaml"); m.Name != want {
		return nil, fault.Errorf(fault.Usage, "%s: the name is %q; make it that of the file, %q", path, m.Name, want)
	}
	return m, nil
}

// Find reads the definition that what names: a path to a file, or a name in dir.
func Find(dir, what string) (*Image, error) {
	if strings.HasSuffix(what, ".yaml") {
		return Read(what)
	}
	p := filepath.Join(dir, what+".yaml")
	if _, err := os.Stat(p); errors.Is(err, os.ErrNotExist) {
		names, _ := Names(dir)
		err := fault.Errorf(fault.Usage, "there is no image %q in %s", what, dir)
		if near := strictyaml.Nearest(what, names); near != "" {
			return nil, fault.Mark(err, fault.Usage, fmt.Sprintf("did you mean %q?", near))
		}
		return nil, fault.Mark(err, fault.Usage, "images there: "+strings.Join(names, ", "))
	}
	return Read(p)
}

// Names lists the definitions in dir.
func Names(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".yaml"))
	}
	sort.Strings(names)
	return names, nil
}

// Schema is the JSON Schema of a definition.
func Schema() ([]byte, error) { return strictyaml.Schema(&Image{}, "Ashlar image definition") }

// FragmentFiles returns the paths of the kernel's own fragments.
func (m *Image) FragmentFiles() []string {
	var files []string
	for _, name := range m.KernelFragments {
		files = append(files, filepath.Join(m.dir, name))
	}
	return files
}

// Dependencies returns what the image must contain, the kernel included.
func (m *Image) Dependencies() ([]version.Dependency, error) {
	list := m.Packages
	if m.Kernel != NoKernel {
		list = append([]string{m.Kernel}, m.Packages...)
	}
	return parseDependencies(list)
}

// Expand replaces groups (@NAME) by their packages, which of returns.
func (m *Image) Expand(of func(group string) ([]string, error)) error {
	for _, list := range []*[]string{&m.Packages, &m.Offers, &m.Medium} {
		var names []string
		for _, text := range *list {
			members := []string{text}
			if group, ok := strings.CutPrefix(text, "@"); ok {
				var err error
				if members, err = of(group); err != nil {
					return fmt.Errorf("image %s: %w", m.Name, err)
				}
			}
			for _, name := range members {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
		*list = names
	}
	return nil
}

// Offered returns what is published with the image beside its own packages.
func (m *Image) Offered() ([]version.Dependency, error) { return parseDependencies(m.Offers) }

// Carried returns what the repository on the medium holds beside the image's own
// packages.
func (m *Image) Carried() ([]version.Dependency, error) { return parseDependencies(m.Medium) }

func parseDependencies(texts []string) ([]version.Dependency, error) {
	var list []version.Dependency
	for _, text := range texts {
		if strings.HasPrefix(text, "@") {
			continue // a group that Expand has not replaced yet
		}
		d, err := version.ParseDependency(text)
		if err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
		list = append(list, d)
	}
	return list, nil
}

// Tools returns the packages that the image is made with: GRUB and live-init.
// They are in the system only if it asks for them. Without a kernel there are
// none.
func (m *Image) Tools() []string {
	if m.Kernel == NoKernel {
		return nil
	}
	return []string{m.Bootloader, m.LiveInit}
}

func (m *Image) fillDefaults() {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&m.Volume, "ASHLAR"}, {&m.Kernel, "linux-virt"}, {&m.Bootloader, "grub"}, {&m.LiveInit, "ashlar-liveinit"},
		{&m.Cmdline, "console=tty0 console=ttyS0,115200"}, {&m.Compression, string(squashfs.Better)},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if m.Timeout == nil {
		m.Timeout = new(int)
		*m.Timeout = defaultTimeout
	}
	if m.Formats == nil {
		m.Formats = []string{"iso"}
	}
}
