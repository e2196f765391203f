package iso

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
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
	Formats      []string     `yaml:"formats,omitempty" jsonschema:"enum=iso" jsonschema_description:"what to make; default: [iso]"`
	Volume       string       `yaml:"volume,omitempty" jsonschema_description:"volume id, by which the started system finds its medium; A-Z, 0-9 and _; default: ASHLAR"`
	Packages     []string     `yaml:"packages" jsonschema_description:"what the image must contain, as dependencies: names with constraints; what they require comes along"`
	Offers       []string     `yaml:"offers,omitempty" jsonschema_description:"further packages to build and publish with the image, for its systems to install; not on the medium"`
	Kernel       string       `yaml:"kernel,omitempty" jsonschema_description:"package that brings the kernel; default: linux-virt"`
	Bootloader   string       `yaml:"bootloader,omitempty" jsonschema_description:"package that brings GRUB's images; default: grub"`
	LiveInit     string       `yaml:"live_init,omitempty" jsonschema_description:"package that brings the live system's first program; default: ashlar-liveinit"`
	Cmdline      string       `yaml:"cmdline,omitempty" jsonschema_description:"kernel command line; default: console=tty0 console=ttyS0,115200"`
	Timeout      *int         `yaml:"timeout,omitempty" jsonschema_description:"seconds that the boot menu waits; default: 1"`
	Modules      []string     `yaml:"modules,omitempty" jsonschema_description:"kernel modules to load before the medium is looked for, by name; those they need come along; none if the kernel has them built in"`
	Compression  string       `yaml:"compression,omitempty" jsonschema:"enum=default,enum=better,enum=best" jsonschema_description:"of the root; default: default"`
	Hostname     string       `yaml:"hostname,omitempty" jsonschema_description:"host name of the live system"`
	Repositories []Repository `yaml:"repositories,omitempty" jsonschema_description:"repositories that the live system uses"`
	Files        []File       `yaml:"files,omitempty" jsonschema_description:"files to add to what the packages bring, or to put in place of it"`

	// KernelFragments are files beside the definition; see [Image.FragmentFiles].
	KernelFragments []string `yaml:"kernel_fragments,omitempty" jsonschema_description:"files beside the definition with own configuration (.config text) that the kernel is built with; what they ask for is required"`

	dir string // of the definition, for files[].from
}

// Repository is a repository of the live system.
type Repository struct {
	Name    string   `yaml:"name" jsonschema_description:"name of the repository"`
	URLs    []string `yaml:"urls" jsonschema_description:"where it is served: http, https, file or oci"`
	Channel string   `yaml:"channel,omitempty" jsonschema_description:"default: stable"`
}

// File is a file that a definition adds.
type File struct {
	Path    string `yaml:"path" jsonschema_description:"absolute path in the live system"`
	Content string `yaml:"content,omitempty" jsonschema_description:"the file's text"`
	From    string `yaml:"from,omitempty" jsonschema_description:"file beside the definition to copy"`
	Link    string `yaml:"link,omitempty" jsonschema_description:"target, for a symbolic link"`
	Mode    string `yaml:"mode,omitempty" jsonschema_description:"permission bits in octal; default: 0644"`
}

const (
	defaultTimeout = 1
	maxTimeout     = 3600
)

var (
	nameFormat   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)
	volumeFormat = regexp.MustCompile(`^[A-Z0-9_]{1,32}$`)
	hostFormat   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	modeFormat   = regexp.MustCompile(`^[0-7]{3,4}$`)
)

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
	return parseDependencies(append([]string{m.Kernel}, m.Packages...))
}

// Offered returns what is published with the image beside its own packages.
func (m *Image) Offered() ([]version.Dependency, error) { return parseDependencies(m.Offers) }

func parseDependencies(texts []string) ([]version.Dependency, error) {
	var list []version.Dependency
	for _, text := range texts {
		d, err := version.ParseDependency(text)
		if err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
		list = append(list, d)
	}
	return list, nil
}

// Tools returns the packages that the image is made with: GRUB and live-init.
// They are in the live system only if it asks for them.
func (m *Image) Tools() []string { return []string{m.Bootloader, m.LiveInit} }

func (m *Image) fillDefaults() {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&m.Volume, "ASHLAR"}, {&m.Kernel, "linux-virt"}, {&m.Bootloader, "grub"}, {&m.LiveInit, "ashlar-liveinit"},
		{&m.Cmdline, "console=tty0 console=ttyS0,115200"}, {&m.Compression, string(squashfs.Default)},
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
	for _, f := range m.Formats {
		if f != "iso" {
			return fmt.Errorf("format %q is not known; known: iso", f)
		}
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
	return m.checkFiles()
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
