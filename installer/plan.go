package installer

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/diskkey"
	"ashlar/pkgtool/fault"
)

// Sizes in bytes. Partitions start at multiples of a MiB, which suits every
// flash and RAID geometry.
const (
	mib          = 1 << 20
	biosBootSize = 1 * mib
	espSize      = 256 * mib
)

// minRootSizes hold a kernel, an init and a few updates of both; the file
// systems other than ext4 refuse to be smaller.
var minRootSizes = map[string]int64{ext4: 256 * mib, xfs: 320 * mib, btrfs: 256 * mib}

// layerSizes are what layers of a layout take from a partition at most: a
// LUKS2 header, the metadata and rounding of LVM, the superblock and bitmap of
// an array.
var layerSizes = map[string]int64{raid1: 8 * mib, luks: 16 * mib, lvm: 8 * mib}

// Partition is one partition of the plan; Start and Size are in bytes.
type Partition struct {
	Number int    `json:"number"`
	Role   string `json:"role"` // bios-boot, esp, swap, root
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
	Disks      []Disk      `json:"disks"`      // one; two with raid1
	Partitions []Partition `json:"partitions"` // the same on each disk
	Layout     string      `json:"layout"`     // what the root stands on above its partition
	Filesystem string      `json:"filesystem"`
	Swap       int64       `json:"swap,omitempty"` // bytes, in a partition or a logical volume
	Hostname   string      `json:"hostname"`
	Packages   []string    `json:"packages"`
	Cmdline    string      `json:"cmdline"`
	Firmware   string      `json:"firmware,omitempty"`    // what becomes of UEFI's boot order: first, add, keep; see [Boot]
	SecureBoot bool        `json:"secure_boot,omitempty"` // what starts is signed, and the key enrolled

	Users  []string `json:"users,omitempty"`
	Finish string   `json:"finish,omitempty"`

	answers          Answers
	RootPasswordHash string `json:"-"` // never shown
	LUKS             LUKS   `json:"-"` // never shown
}

// MakePlan lays the answers out on the disks that [Select] returned.
func MakePlan(a *Answers, disks ...Disk) (*Plan, error) {
	s := a.Storage
	p := &Plan{
		Disks: disks, Layout: s.Layout, Filesystem: s.Filesystem,
		Hostname: a.System.Hostname, Packages: slices.Clone(a.Packages), Cmdline: a.Boot.Cmdline, Firmware: a.Boot.Firmware, SecureBoot: a.Boot.secure(),
		RootPasswordHash: a.System.RootPasswordHash, LUKS: s.LUKS, Finish: a.Finish, answers: *a,
	}
	for _, u := range a.Users {
		p.Users = append(p.Users, u.Name)
	}
	if s.Swap != "" {
		p.Swap, _ = parseSize(s.Swap) // validated before
	}
	for _, name := range p.toolPackages() {
		if !slices.Contains(p.Packages, name) {
			p.Packages = append(p.Packages, name) // the installed system starts with them, too
		}
	}
	smallest := disks[0]
	for _, d := range disks[1:] {
		if d.Size < smallest.Size {
			smallest = d
		}
	}
	at := int64(mib)
	add := func(role string, size int64) {
		p.Partitions = append(p.Partitions, Partition{len(p.Partitions) + 1, role, at, size})
		at += size
	}
	add("bios-boot", biosBootSize)
	add("esp", espSize)
	need := minRootSizes[p.Filesystem]
	if p.Swap > 0 && p.Layout == plain {
		add("swap", p.Swap)
	} else {
		need += p.Swap
	}
	for layer, size := range layerSizes {
		if has(p.Layout, layer) {
			need += size
		}
	}
	// The last MiB holds the backup partition table.
	rest := (smallest.Size-mib)/mib*mib - at
	if rest < need {
		return nil, fault.Errorf(fault.Usage, "disk %s has %s; layout %s with %s needs at least %s",
			smallest.Path, FormatSize(smallest.Size), p.Layout, p.Filesystem, FormatSize(at+need+mib))
	}
	add("root", rest)
	return p, nil
}

// Partition returns the partition with a role. A plan has exactly one of each,
// but for swap.
func (p *Plan) Partition(role string) Partition {
	for _, part := range p.Partitions {
		if part.Role == role {
			return part
		}
	}
	panic("internal error: plan without partition " + role)
}

// Has says whether the layout has a layer: raid1, luks, lvm.
func (p *Plan) Has(layer string) bool { return has(p.Layout, layer) }

// Paths names the disks that will be written.
func (p *Plan) Paths() []string {
	var paths []string
	for _, d := range p.Disks {
		paths = append(paths, d.Path)
	}
	return paths
}

// Describe lists, in order, what Apply will do, one line each.
func (p *Plan) Describe() []string {
	lines := []string{fmt.Sprintf("fetch and verify %s with all they require", strings.Join(p.Packages, ", "))}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, d := range p.Disks {
		if d.Holds != "" {
			say("ERASE %s (%s, %s), which holds %s", d.Path, FormatSize(d.Size), d.Model, d.Holds)
		}
	}
	on := "partition " + fmt.Sprint(p.Partition("root").Number)
	for _, d := range p.Disks {
		say("write a GPT partition table to %s (%s)", d.Path, FormatSize(d.Size))
		for _, part := range p.Partitions {
			say("  partition %d  %-9s  %s", part.Number, part.Role, FormatSize(part.Size))
		}
	}
	if p.Has(raid1) {
		say("make an array (RAID1) of %s of %s", on, strings.Join(p.Paths(), " and "))
		on = "the array"
	}
	if p.Has(luks) {
		opener := "a passphrase opens it"
		if t := p.LUKS.TPM2; t != nil {
			opener = "the TPM opens it while PCR " + diskkey.FormatPCRs(t.registers()) + " stays the same, and " + opener
		}
		say("encrypt %s (LUKS2); %s", on, opener)
		on = "the encrypted volume"
	}
	if p.Has(lvm) {
		say("make the volume group %s on %s", volumeGroup(p.Hostname), on)
		on = "its volume root"
	}
	if p.Swap > 0 {
		say("make a swap area of %s", FormatSize(p.Swap))
	}
	article := "an"
	if p.Filesystem == btrfs {
		article = "a"
	}
	say("make %s %s file system on %s", article, p.Filesystem, on)
	say("install the packages as generation 1, host name %s", p.Hostname)
	p.answers.describe(say)
	say("write the boot loader for UEFI and BIOS, and its first entry, to %s", strings.Join(p.Paths(), " and "))
	if p.SecureBoot {
		say("sign what starts with a key of the machine's own, and enroll it in UEFI firmware: Secure Boot is on from the next start")
	}
	switch p.Firmware {
	case "":
		say("put the installed system first into the boot order of UEFI firmware, unless that started the installer over the network")
	case firmwareFirst:
		say("put the installed system first into the boot order of UEFI firmware")
	case firmwareAdd:
		say("put the installed system last into the boot order of UEFI firmware")
	}
	return lines
}

// volumeGroup names the machine, so that its disks can be looked at in another.
func volumeGroup(hostname string) string {
	label, _, _ := strings.Cut(hostname, ".")
	return "ashlar-" + label
}
