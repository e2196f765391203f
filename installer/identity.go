package installer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// identities returns the names that a disk has in /dev/disk/by-id, sorted. A
// small system has no udev that makes them, so those that follow from the disk's
// own data are made here by udev's rules (60-persistent-storage.rules).
func identities(dev, name string, d Disk, wwid string) []string {
	var ids []string
	byID := filepath.Join(dev, "disk/by-id")
	links, _ := os.ReadDir(byID) // without udev there is no such folder
	for _, link := range links {
		if target, err := os.Readlink(filepath.Join(byID, link.Name())); err == nil && filepath.Base(target) == name {
			ids = append(ids, link.Name())
		}
	}
	switch {
	case strings.HasPrefix(name, "vd") && d.Serial != "":
		ids = append(ids, "virtio-"+udevName(d.Serial))
	case strings.HasPrefix(name, "nvme"):
		if d.Model != "" && d.Serial != "" {
			ids = append(ids, "nvme-"+udevName(d.Model)+"_"+udevName(d.Serial))
		}
		if wwid != "" {
			ids = append(ids, "nvme-"+udevName(wwid))
		}
	}
	if number, ok := strings.CutPrefix(wwid, "naa."); ok {
		ids = append(ids, "wwn-0x"+number)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// udevName writes text as udev does in names: white space becomes one _, and so
// does what has no place in a path.
func udevName(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("#+-.:=@_", r) {
			return r
		}
		return '_'
	}, strings.Join(strings.Fields(text), "_"))
}

// serialPage takes the serial number out of a SCSI disk's page 80h, which begins
// with four bytes of other things (SPC-4, 7.8.15).
func serialPage(page string) string {
	if len(page) <= 4 || page[1] != 0x80 {
		return ""
	}
	return strings.TrimSpace(strings.Trim(page[4:], "\x00"))
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// holderOf says which array or volume a disk or a partition of it is part of.
// dir is the disk's folder in /sys/block.
func holderOf(dir string) string {
	found, _ := filepath.Glob(filepath.Join(dir, "holders", "*"))
	parts, _ := filepath.Glob(filepath.Join(dir, filepath.Base(dir)+"*", "holders", "*"))
	if found = append(found, parts...); len(found) == 0 {
		return ""
	}
	return "part of " + filepath.Base(found[0])
}
