package main

import (
	"strings"

	"golang.org/x/sys/unix"
)

// degradedAfter is how long an array waits for its other disks, in milliseconds.
const degradedAfter = 10_000

// assembly brings up what the root stands on, lowest layer first, as devices
// appear. The programs are the installed system's own, packed with this one.
type assembly struct {
	p      *parameters
	done   map[string]bool // parameters that are dealt with
	since  map[string]int  // when the first disk of an array was seen
	volume string          // the physical volumes at the last try
}

// step looks at the devices and does what can be done now, at milliseconds after
// the start. It says whether there is something new to look at, and for how long
// a person was waited for does not count.
func (a *assembly) step(devices []string, now int) (changed bool, err error) {
	for i, id := range a.p.arrays {
		if a.done["array "+id] {
			continue
		}
		ok, err := a.array(i, id, devices, now)
		if err != nil {
			return false, err
		}
		changed = changed || ok
	}
	for _, id := range a.p.encrypted {
		for _, device := range devices {
			if a.done["luks "+id] || readLUKS(device) != id {
				continue
			}
			if err := unlock(device, id, a.p.tpm); err != nil {
				return false, err
			}
			a.done["luks "+id], changed = true, true
		}
	}
	if len(a.p.volumes) == 0 {
		return changed, nil
	}
	var physical []string
	for _, device := range devices {
		if isPhysicalVolume(device) {
			physical = append(physical, device)
		}
	}
	if list := strings.Join(physical, " "); list != a.volume {
		a.volume = list
		for _, v := range a.p.volumes {
			ok, err := a.logicalVolume(v)
			if err != nil {
				return false, err
			}
			changed = changed || ok
		}
	}
	return changed, nil
}

// array assembles an array as soon as all its disks are there, or those that
// have come when nothing more did for some time.
func (a *assembly) array(number int, id string, devices []string, now int) (bool, error) {
	var members []string
	wanted := 0
	for _, device := range devices {
		if found, disks := readArray(device); found == id {
			members, wanted = append(members, device), disks
		}
	}
	if len(members) == 0 {
		return false, nil
	}
	first, seen := a.since[id]
	if !seen {
		a.since[id], first = now, now
	}
	if len(members) < wanted && now-first < degradedAfter {
		return false, nil
	}
	if len(members) < wanted {
		log(priorityAlert, "array "+id+": "+decimal(len(members))+" of "+decimal(wanted)+" disks are there; starting with those")
	}
	name := "/dev/md/root"
	if number > 0 {
		name += decimal(number)
	}
	a.done["array "+id] = true
	code, err := runProgram("/usr/bin/mdadm", append([]string{"--assemble", "--run", "--quiet", "--uuid=" + id, name}, members...)...)
	return code == 0, failed("assemble the array "+id, code, err)
}

// logicalVolume makes VG/LV usable, if all that it lies on is there.
func (a *assembly) logicalVolume(name string) (bool, error) {
	if a.done["lvm "+name] {
		return false, nil
	}
	if err := makeDirs("/run/lock/lvm"); err != nil {
		return false, err
	}
	code, err := runProgram("/usr/bin/lvm", "lvchange", "--quiet", "--quiet", "--yes", "--sysinit", "--activate", "y", name)
	if err != nil {
		return false, failed("make the volume "+name+" usable", code, err)
	}
	if code == 0 {
		a.done["lvm "+name] = true
	}
	return code == 0, nil // another disk may bring the rest of it
}

// failed makes an error of how a program ended.
func failed(doing string, code int, err error) error {
	switch {
	case err == unix.ENOENT:
		return failure(doing + ": the program is not in the initial RAM file system; start another entry of the menu and run: pkgtool loader update")
	case err != nil:
		return wrap(doing, err)
	case code != 0:
		return failure(doing + ": the program ended with " + decimal(code))
	}
	return nil
}

// readAt returns bytes of a device, or nothing.
func readAt(device string, offset int64, size int) []byte {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	b := make([]byte, size)
	if n, err := unix.Pread(fd, b, offset); err != nil || n < size {
		return nil
	}
	return b
}

// readArray reads a superblock of version 1.2 (Linux, include/uapi/linux/raid/md_p.h)
// and returns the array's UUID as mdadm writes it, and how many disks it has.
func readArray(device string) (id string, disks int) {
	b := readAt(device, 4096, 256)
	if b == nil || string(b[:4]) != "\xfc\x4e\x2b\xa9" || b[4] != 1 {
		return "", 0
	}
	hex := strings.ReplaceAll(formatUUID(b[16:32]), "-", "")
	return hex[:8] + ":" + hex[8:16] + ":" + hex[16:24] + ":" + hex[24:], int(b[92]) | int(b[93])<<8
}

// readLUKS returns the UUID of an encrypted device, or "". It lies at the same
// place in both versions of the header.
func readLUKS(device string) string {
	b := readAt(device, 0, 512)
	if b == nil || string(b[:6]) != "LUKS\xba\xbe" {
		return ""
	}
	text, _, _ := strings.Cut(string(b[168:208]), "\x00")
	return strings.ToLower(text)
}

// isPhysicalVolume says whether a device belongs to LVM; the label is in one of
// its first four sectors.
func isPhysicalVolume(device string) bool {
	b := readAt(device, 0, 4*512)
	for at := 0; at < len(b); at += 512 {
		if string(b[at:at+8]) == "LABELONE" && string(b[at+24:at+32]) == "LVM2 001" {
			return true
		}
	}
	return false
}

// mappedName is the name that people know a device by.
func mappedName(device string) string {
	name, err := readFile("/sys/class/block/"+strings.TrimPrefix(device, "/dev/")+"/dm/name", 1024)
	if err != nil {
		return device
	}
	mapped := "/dev/mapper/" + strings.TrimSpace(string(name))
	if unix.Access(mapped, unix.F_OK) != nil {
		return device
	}
	return mapped
}

// udevd is what a system with udev has.
const udevd = "/usr/lib/systemd/systemd-udevd"

// tellUdev leaves what udev's rules of LVM (10-dm.rules, 69-dm-lvm.rules) look for
// in its database: that these arrays and volumes were brought up properly, before
// udev was there. Without it they take no notice of them, nor of what lies on them.
func tellUdev() error {
	if unix.Access(root+udevd, unix.X_OK) != nil {
		return nil
	}
	names, err := listDir("/sys/class/block")
	if err != nil {
		return err
	}
	for _, name := range names {
		words := udevWords(name)
		if words == "" {
			continue
		}
		number, err := readFile("/sys/class/block/"+name+"/dev", 64)
		if err != nil {
			return err
		}
		if err := writeFile("/run/udev/data/b"+strings.TrimSpace(string(number)), words); err != nil {
			return err
		}
	}
	return nil
}

// udevWords is the record of a device in udev's database, if it needs one.
func udevWords(name string) string {
	switch {
	case strings.HasPrefix(name, "dm-"):
		return "E:DM_UDEV_PRIMARY_SOURCE_FLAG=1\nE:DM_UDEV_RULES_VSN=2\n"
	case strings.HasPrefix(name, "md"):
		return "E:LVM_MD_PV_ACTIVATED=1\n"
	}
	return ""
}

func writeFile(name, text string) error {
	if err := makeDirs(name[:strings.LastIndexByte(name, '/')]); err != nil {
		return err
	}
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return wrap("write "+name, err)
	}
	_, err = unix.Write(fd, []byte(text))
	unix.Close(fd)
	return wrap("write "+name, err)
}
