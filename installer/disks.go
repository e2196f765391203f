package installer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
)

// Disk is a whole disk of the machine.
type Disk struct {
	Path     string `json:"path"` // /dev/vda
	Size     int64  `json:"size"` // bytes
	Model    string `json:"model,omitempty"`
	Serial   string `json:"serial,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"`
	Mounted  string `json:"mounted,omitempty"` // where it, or a partition of it, is in use
	Holds    string `json:"holds,omitempty"`   // what was found on it; empty for a blank disk
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
			Serial:   attribute("serial"),
			ReadOnly: attribute("ro") == "1",
			Mounted:  mountOf(string(used), name),
		}
		if d.Serial == "" {
			d.Serial = attribute("device/serial")
		}
		if d.Holds, err = inspect(filepath.Join(dev, name)); err != nil {
			d.Holds = "unreadable: " + err.Error()
		}
		disks = append(disks, d)
	}
	sort.Slice(disks, func(i, j int) bool { return disks[i].Path < disks[j].Path })
	return disks, nil
}

// mountOf returns the first mount point of the disk or of one of its partitions.
func mountOf(mounts, name string) string {
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		rest, ok := strings.CutPrefix(f[0], "/dev/"+name)
		if ok && strings.Trim(rest, "p0123456789") == "" {
			return f[1]
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

// Select returns the one disk that fulfils all conditions and may be written.
// Otherwise its error lists every disk and why it was not taken.
func Select(a *Answers, disks []Disk) (Disk, error) {
	var fits []Disk
	var report []string
	for _, d := range disks {
		why := refusal(a.Storage.Disk, d)
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
		return Disk{}, fault.Errorf(fault.Usage, "no disk fulfils storage.disk:\n%s", list)
	case len(fits) > 1:
		return Disk{}, fault.Mark(fmt.Errorf("%d disks fulfil storage.disk, and only one may:\n%s", len(fits), list),
			fault.Usage, "add a condition, for example serial")
	}
	d := fits[0]
	switch {
	case d.Mounted != "":
		return Disk{}, fault.Errorf(fault.Usage, "disk %s is in use: mounted on %s", d.Path, d.Mounted)
	case d.ReadOnly:
		return Disk{}, fault.Errorf(fault.Usage, "disk %s is read-only", d.Path)
	case d.Holds != "" && !a.Erase:
		return Disk{}, fault.Mark(fmt.Errorf("disk %s holds %s", d.Path, d.Holds), fault.Usage,
			"if it may be overwritten, write erase: true in the answer file")
	}
	return d, nil
}

// refusal says which condition the disk fails, or "".
func refusal(m Match, d Disk) string {
	if m.Path != "" && m.Path != d.Path {
		return "path is not " + m.Path
	}
	if m.Serial != "" {
		if ok, _ := path.Match(m.Serial, d.Serial); !ok {
			return "serial does not match " + m.Serial
		}
	}
	if m.Model != "" {
		if ok, _ := path.Match(m.Model, d.Model); !ok {
			return "model does not match " + m.Model
		}
	}
	if m.Size != "" {
		operator, limit, _ := parseSizeRule(m.Size) // validated before
		if operator == ">=" && d.Size < limit || operator == "<=" && d.Size > limit {
			return "size is not " + m.Size
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
