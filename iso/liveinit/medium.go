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
	for _, prefix := range []string{"loop", "ram", "zram", "md", "dm-", "fd"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// findMedium waits until a device with the medium appears and returns its path.
func findMedium(p *parameters, hardware *drivers) (string, error) {
	return waitFor(hardware, p.seconds, "medium with the volume name "+p.label, func(device string) (bool, string) {
		label := readVolumeName(device)
		if label == "" {
			return false, ""
		}
		return label == p.label, "volume " + label
	})
}

// findDisk waits until a device with the root's file system appears, and
// returns its path and the kind of the file system.
func findDisk(p *parameters, hardware *drivers) (device, kind string, err error) {
	device, err = waitFor(hardware, p.seconds, "file system with the UUID "+p.disk, func(device string) (bool, string) {
		found, id := readFileSystem(device)
		if found == "" {
			return false, ""
		}
		if id == p.disk {
			kind = found
		}
		return id == p.disk, found + " " + id
	})
	return device, kind, err
}

// waitFor looks at all block devices until one is what is wanted, and loads the
// drivers of what appears meanwhile. look also describes a device that is not.
func waitFor(hardware *drivers, seconds int, what string, look func(device string) (bool, string)) (string, error) {
	seen := map[string]string{}
	for waited := 0; ; waited += pollEvery {
		hardware.loadForDevices()
		names, err := listDir("/sys/class/block")
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if !candidate(name) {
				continue
			}
			found, text := look("/dev/" + name)
			if found {
				return "/dev/" + name, nil
			}
			seen[name] = text
		}
		if waited >= seconds*1000 {
			return "", failure("no " + what + " appeared; " + describe(seen))
		}
		if waited == 3000 {
			say("waiting for the " + what)
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
