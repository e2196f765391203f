package main

import (
	"strings"

	"golang.org/x/sys/unix"
)

const (
	volumeAt     = 16 * 2048 // the primary volume descriptor
	volumeIDAt   = 40        // in the descriptor
	volumeIDSize = 32
	pollEvery    = 100 // milliseconds
)

// volumeName returns the volume name in the first bytes of a primary volume
// descriptor, or "" if that is not what they are.
func volumeName(b []byte) string {
	if len(b) < volumeIDAt+volumeIDSize || string(b[:7]) != "\x01CD001\x01" {
		return ""
	}
	return strings.TrimRight(string(b[volumeIDAt:volumeIDAt+volumeIDSize]), " ")
}

// readVolumeName reads the volume name of a block device.
func readVolumeName(device string) string {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return "" // an empty drive, for one
	}
	defer unix.Close(fd)
	b := make([]byte, volumeIDAt+volumeIDSize)
	n, err := unix.Pread(fd, b, volumeAt)
	if err != nil {
		return ""
	}
	return volumeName(b[:n])
}

// candidate says whether a block device can hold the medium. Memory disks and
// loop devices are noise; a CD, a stick and a partition are all real ones.
func candidate(name string) bool {
	return rootCandidate(name) && !strings.HasPrefix(name, "md") && !strings.HasPrefix(name, "dm-")
}

// rootCandidate is the same for an installed root, which may stand on an array
// or a volume.
func rootCandidate(name string) bool {
	for _, prefix := range []string{"loop", "ram", "zram", "fd"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// findMedium waits until a device with the medium appears and returns its path.
func findMedium(p *parameters, hardware *drivers) (string, error) {
	w := wait{hardware: hardware, seconds: p.seconds, what: "medium with the volume name " + p.label, candidate: candidate}
	return w.until(func(device string) (bool, string) {
		label := readVolumeName(device)
		if label == "" {
			return false, ""
		}
		return label == p.label, "volume " + label
	})
}

// findDisk waits until a device with the root's file system appears, brings up
// what that stands on, and returns its path and the kind of the file system.
func findDisk(p *parameters, hardware *drivers) (device, kind string, err error) {
	parts := &assembly{p: p, done: map[string]bool{}, since: map[string]int{}}
	w := wait{hardware: hardware, seconds: p.seconds, what: "file system with the UUID " + p.disk, candidate: rootCandidate, step: parts.step}
	device, err = w.until(func(device string) (bool, string) {
		found, id := readFileSystem(device)
		if found == "" {
			return false, ""
		}
		if id == p.disk {
			kind = found
		}
		return id == p.disk, found + " " + id
	})
	return mappedName(device), kind, err
}

// wait is a wait for a device.
type wait struct {
	hardware  *drivers
	seconds   int
	what      string
	candidate func(name string) bool
	// step makes devices of devices, and says whether it made some; may be nil.
	step func(devices []string, now int) (bool, error)
}

// until looks at all block devices until one is what is wanted, and loads the
// drivers of what appears meanwhile. look also describes a device that is not.
func (w *wait) until(look func(device string) (bool, string)) (string, error) {
	seen := map[string]string{}
	for waited := 0; ; waited += pollEvery {
		w.hardware.loadForDevices()
		names, err := listDir("/sys/class/block")
		if err != nil {
			return "", err
		}
		var devices []string
		for _, name := range names {
			if !w.candidate(name) {
				continue
			}
			found, text := look("/dev/" + name)
			if found {
				return "/dev/" + name, nil
			}
			seen[name] = text
			devices = append(devices, "/dev/"+name)
		}
		if w.step != nil {
			changed, err := w.step(devices, waited)
			if err != nil {
				return "", err
			}
			if changed {
				continue // what it made is there by now
			}
		}
		if waited >= w.seconds*1000 {
			return "", failure("no " + w.what + " appeared; " + describe(seen))
		}
		if waited == 3000 {
			say("waiting for the " + w.what)
		}
		sleep(pollEvery)
	}
}

func describe(seen map[string]string) string {
	if len(seen) == 0 {
		return "the kernel found no disk, stick or CD drive (a driver missing?)"
	}
	names := make([]string, 0, len(seen))
	for name, text := range seen {
		if text != "" {
			name += " (" + text + ")"
		}
		names = append(names, name)
	}
	sortStrings(names)
	return "seen: " + strings.Join(names, ", ")
}
