package iso

import (
	"fmt"
	"slices"
	"strings"
)

// Format is a kind of output.
type Format struct {
	Name    string
	Ending  string // of the file's name, with the dot
	Summary string
	Medium  bool   // holds a file system that a started system can still read
	boots   bool   // has a kernel and a boot loader
	live    bool   // runs from a read-only root, and leaves no trace
	holds   string // the format that the manifest inside names: all disks hold the same bytes
	write   func(*assembly, *output) error
}

// Formats are all formats, those for machines first.
func Formats() []Format {
	return []Format{
		{"iso", ".iso", "live system that starts from CD and USB stick", true, true, true, "iso", (*assembly).writeISO},
		{"raw", ".raw", "disk, to be written onto one as it is", false, true, false, "raw", (*assembly).writeRaw},
		{"qcow2", ".qcow2", "disk for QEMU, libvirt and clouds, compressed", false, true, false, "raw", (*assembly).writeQCOW2},
		{"vmdk", ".vmdk", "disk for VMware, compressed", false, true, false, "raw", (*assembly).writeVMDK},
		{"netboot", ".netboot.tar", "kernel, RAM file systems and scripts to start over the network", false, true, true, "netboot", (*assembly).writeNetboot},
		{"tar", ".tar.zst", "the files of the system", false, false, false, "tar", (*assembly).writeTar},
		{"oci", ".oci.tar", "container image, an OCI layout in a tar", false, false, false, "oci", (*assembly).writeOCI},
	}
}

// Starts says whether a machine starts from a file of the format.
func (f Format) Starts() bool { return f.boots && f.Name != "netboot" }

// FormatOf returns the format of a name.
func FormatOf(name string) (Format, error) {
	all := Formats()
	i := slices.IndexFunc(all, func(f Format) bool { return f.Name == name })
	if i < 0 {
		var names []string
		for _, f := range all {
			names = append(names, f.Name)
		}
		return Format{}, fmt.Errorf("format %q is not known; known: %s", name, strings.Join(names, ", "))
	}
	return all[i], nil
}

// formatOfFile returns the format that a file's name ends like.
func formatOfFile(path string) (Format, bool) {
	for _, f := range Formats() {
		if strings.HasSuffix(path, f.Ending) {
			return f, true
		}
	}
	return Format{}, false
}
