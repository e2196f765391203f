package installer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
)

// Disk is a whole disk of the machine.
type Disk struct {
	Path     string   `json:"path"` // /dev/vda
	Size     int64    `json:"size"` // bytes
	Model    string   `json:"model,omitempty"`
	Serial   string   `json:"serial,omitempty"`
	IDs      []string `json:"ids,omitempty"` // names in /dev/disk/by-id
	ReadOnly bool     `json:"read_only,omitempty"`
	Mounted  string   `json:"mounted,omitempty"` // how it, or a partition of it, is in use: mounted on /srv
	Holds    string   `json:"holds,omitempty"`   // what was found on it; empty for a blank disk
}

// notDisks are block devices that are never installed to.
var notDisks = []string{"loop", "ram", "zram", "sr", "fd", "md", "dm-", "nbd"}

// Probe lists the machine's disks in name order. sys is /sys, dev /dev and
// mounts /proc/self/mounts on a running machine.
func Probe(sys, dev, mounts string) ([]Disk, error) {
	names, err := os.ReadDir(filepath.Join(sys, "block"))
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	used, err := os.ReadFile(mounts)
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var disks []Disk
	for _, entry := range names {
		name := entry.Name()
		if hasAnyPrefix(name, notDisks) {
			continue
		}
		attribute := func(p string) string {
			raw, _ := os.ReadFile(filepath.Join(sys, "block", name, p))
			return strings.TrimSpace(string(raw))
		}
		sectors, err := strconv.ParseInt(attribute("size"), 10, 64)
		if err != nil || sectors <= 0 {
			continue // a card reader without a card
		}
		d := Disk{
			Path:     "/dev/" + name,
			Size:     sectors * 512, // the unit of sysfs, whatever the disk's sectors
			Model:    attribute("device/model"),
			Serial:   firstOf(attribute("serial"), attribute("device/serial"), serialPage(attribute("device/vpd_pg80"))),
			ReadOnly: attribute("ro") == "1",
			Mounted:  mountOf(string(used), name),
		}
		if d.Mounted == "" {
			d.Mounted = holderOf(filepath.Join(sys, "block", name))
		}
		d.IDs = identities(dev, name, d, firstOf(attribute("wwid"), attribute("device/wwid")))
		if d.Holds, err = inspect(filepath.Join(dev, name)); err != nil {
			d.Holds = "unreadable: " + err.Error()
		}
		disks = append(disks, d)
	}
	slices.SortFunc(disks, func(a, b Disk) int { // sdb comes before sdaa
		return cmp.Or(cmp.Compare(len(a.Path), len(b.Path)), cmp.Compare(a.Path, b.Path))
	})
	return disks, nil
}

// mountOf says where the first mount is of the disk or of one of its partitions.
func mountOf(mounts, name string) string {
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		rest, ok := strings.CutPrefix(f[0], "/dev/"+name)
		if ok && strings.Trim(rest, "p0123456789") == "" {
			return "mounted on " + f[1]
		}
	}
	return ""
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// inspectSize covers partition tables and the superblocks of all common file
// systems but btrfs, whose first copy is at 64 KiB.
const inspectSize = 128 << 10

// inspect says what stands at the start of a device, or "" when it is blank.
func inspect(device string) (string, error) {
	f, err := os.Open(device)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, inspectSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	head = head[:n]
	for _, sign := range []struct {
		offset int
		magic  string
		name   string
	}{
		{32769, "CD001", "an ISO 9660 image"},
		{512, "EFI PART", "a GPT partition table"},
		{4096, "EFI PART", "a GPT partition table"},
		{1080, "\x53\xef", "an ext file system"},
		{0, "XFSB", "an XFS file system"},
		{65600, "_BHRfS_M", "a btrfs file system"},
		{0, "LUKS\xba\xbe", "a LUKS volume"},
		{536, "LVM2 001", "an LVM volume"},
		{4096, "\xfc\x4e\x2b\xa9", "a part of a RAID array"},
		{4086, "SWAPSPACE2", "a swap area"},
		{510, "\x55\xaa", "a boot sector or MBR partition table"},
	} {
		if end := sign.offset + len(sign.magic); end <= len(head) && string(head[sign.offset:end]) == sign.magic {
			return sign.name, nil
		}
	}
	for _, b := range head {
		if b != 0 {
			return "unknown data", nil
		}
	}
	return "", nil
}

// Select returns the disks that the answers mean, in the order of their rules.
// A rule that no disk fulfils, or several without a word that chooses, is an
// error that lists every disk and why it was not taken.
func Select(a *Answers, disks []Disk) ([]Disk, error) {
	var chosen []Disk
	for i, rule := range a.Storage.rules() {
		d, err := selectOne(a.Storage.ruleName(i), rule, disks, chosen)
		if err != nil {
			return nil, err
		}
		switch {
		case d.Mounted != "":
			return nil, fault.Mark(fmt.Errorf("disk %s is in use: %s", d.Path, d.Mounted), fault.Usage,
				"unmount it, or stop the array or volume (lvm vgchange -an, cryptsetup close, mdadm --stop); a restart of a live system does as well")
		case d.ReadOnly:
			return nil, fault.Errorf(fault.Usage, "disk %s is read-only", d.Path)
		case d.Holds != "" && !a.Erase:
			return nil, fault.Mark(fmt.Errorf("disk %s holds %s", d.Path, d.Holds), fault.Usage,
				"if it may be overwritten, write erase: true in the answer file")
		}
		chosen = append(chosen, d)
	}
	return chosen, nil
}

func selectOne(name string, rule Match, disks, taken []Disk) (Disk, error) {
	var fits []Disk
	var report []string
	for _, d := range disks {
		why := refusal(rule, d)
		if slices.ContainsFunc(taken, func(t Disk) bool { return t.Path == d.Path }) {
			why = "is taken already"
		}
		if why == "" {
			fits = append(fits, d)
			why = "fits"
		}
		report = append(report, fmt.Sprintf("  %s  %s  model %q  serial %q: %s", d.Path, FormatSize(d.Size), d.Model, d.Serial, why))
	}
	list := strings.Join(report, "\n")
	if list == "" {
		list = "  (the machine has no disk)"
	}
	switch {
	case len(fits) == 0:
		return Disk{}, fault.Errorf(fault.Usage, "no disk fulfils %s:\n%s", name, list)
	case len(fits) > 1 && rule.Choose == "":
		return Disk{}, fault.Mark(fmt.Errorf("%d disks fulfil %s, and only one may:\n%s", len(fits), name, list),
			fault.Usage, "add a condition, for example serial, or say which one with choose")
	}
	best := fits[0] // disks are in the order of their names
	for _, d := range fits[1:] {
		if rule.Choose == "smallest" && d.Size < best.Size || rule.Choose == "largest" && d.Size > best.Size {
			best = d
		}
	}
	return best, nil
}

// refusal says which condition the disk fails, or "". One that is chosen among
// several must be one that can be written: what is in use never is.
func refusal(m Match, d Disk) string {
	if m.Path != "" && m.Path != d.Path {
		return "path is not " + m.Path
	}
	matches := func(pattern string) func(string) bool {
		return func(text string) bool {
			ok, _ := path.Match(pattern, text) // validated before
			return ok
		}
	}
	if m.ID != "" && !slices.ContainsFunc(d.IDs, matches(m.ID)) {
		return "no name in by-id matches " + m.ID
	}
	if m.Serial != "" && !matches(m.Serial)(d.Serial) {
		return "serial does not match " + m.Serial
	}
	if m.Model != "" && !matches(m.Model)(d.Model) {
		return "model does not match " + m.Model
	}
	if m.Size != "" {
		operator, limit, _ := parseSizeRule(m.Size) // validated before
		if operator == ">=" && d.Size < limit || operator == "<=" && d.Size > limit {
			return "size is not " + m.Size
		}
	}
	if m.Empty && d.Holds != "" {
		return "is not empty, it holds " + d.Holds
	}
	if m.Choose != "" {
		switch {
		case d.Mounted != "":
			return "is in use: " + d.Mounted
		case d.ReadOnly:
			return "is read-only"
		}
	}
	return ""
}

// FormatSize writes bytes with one unit, for people.
func FormatSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
