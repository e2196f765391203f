package installer

import (
	"fmt"
	"strings"

	"ashlar/pkgtool/fault"
)

// Sizes of the plain layout, in bytes. Partitions start at multiples of a MiB,
// which suits every flash and RAID geometry.
const (
	mib          = 1 << 20
	biosBootSize = 1 * mib
	espSize      = 256 * mib
	// minRootSize holds a kernel, an init and a few updates of both.
	minRootSize = 256 * mib
)

// Partition is one partition of the plan; Start and Size are in bytes.
type Partition struct {
	Number int    `json:"number"`
	Role   string `json:"role"` // bios-boot, esp, root
	Start  int64  `json:"start"`
	Size   int64  `json:"size"`
}

// Device returns the partition's device on the disk: /dev/vda3, /dev/nvme0n1p3.
func (p Partition) Device(disk string) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, p.Number)
	}
	return fmt.Sprintf("%s%d", disk, p.Number)
}

// Plan is all that an installation will do. It is made without touching a disk.
type Plan struct {
	Disk       Disk        `json:"disk"`
	Partitions []Partition `json:"partitions"`
	Hostname   string      `json:"hostname"`
	Packages   []string    `json:"packages"`
	Cmdline    string      `json:"cmdline"`

	RootPasswordHash string `json:"-"` // never shown
}

// MakePlan lays the answers out on the disk that [Select] returned.
func MakePlan(a *Answers, d Disk) (*Plan, error) {
	rootStart := int64(mib + biosBootSize + espSize)
	// The last MiB holds the backup partition table.
	rootSize := (d.Size-mib)/mib*mib - rootStart
	if rootSize < minRootSize {
		return nil, fault.Errorf(fault.Usage, "disk %s has %s; layout plain needs at least %s",
			d.Path, FormatSize(d.Size), FormatSize(rootStart+minRootSize+mib))
	}
	return &Plan{
		Disk: d,
		Partitions: []Partition{
			{1, "bios-boot", mib, biosBootSize},
			{2, "esp", mib + biosBootSize, espSize},
			{3, "root", rootStart, rootSize},
		},
		Hostname: a.System.Hostname,
		Packages: a.Packages,
		Cmdline:  a.Boot.Cmdline,

		RootPasswordHash: a.System.RootPasswordHash,
	}, nil
}

// Partition returns the partition with a role. A plan has exactly one of each.
func (p *Plan) Partition(role string) Partition {
	for _, part := range p.Partitions {
		if part.Role == role {
			return part
		}
	}
	panic("internal error: plan without partition " + role)
}

// Describe lists, in order, what Apply will do, one line each.
func (p *Plan) Describe() []string {
	lines := []string{fmt.Sprintf("fetch and verify %s with all they require", strings.Join(p.Packages, ", "))}
	if p.Disk.Holds != "" {
		lines = append(lines, fmt.Sprintf("ERASE %s (%s, %s), which holds %s", p.Disk.Path, FormatSize(p.Disk.Size), p.Disk.Model, p.Disk.Holds))
	}
	lines = append(lines, fmt.Sprintf("write a GPT partition table to %s (%s)", p.Disk.Path, FormatSize(p.Disk.Size)))
	for _, part := range p.Partitions {
		lines = append(lines, fmt.Sprintf("  partition %d  %-9s  %s", part.Number, part.Role, FormatSize(part.Size)))
	}
	root := p.Partition("root").Device(p.Disk.Path)
	return append(lines,
		fmt.Sprintf("make an ext4 file system on %s", root),
		fmt.Sprintf("install the packages as generation 1, host name %s", p.Hostname),
		"write the boot loader for UEFI and BIOS, and its first entry",
	)
}
