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
func findMedium(p *parameters) (string, error) {
	seen := map[string]string{}
	for waited := 0; ; waited += pollEvery {
		names, err := listDir("/sys/class/block")
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if !candidate(name) {
				continue
			}
			label := readVolumeName("/dev/" + name)
			if label == p.label {
				return "/dev/" + name, nil
			}
			seen[name] = label
		}
		if waited >= p.seconds*1000 {
			return "", failure("no medium with the volume name " + p.label + " appeared; " + describe(seen))
		}
		if waited == 3000 {
			say("waiting for the medium " + p.label)
		}
		sleep(pollEvery)
	}
}

func describe(seen map[string]string) string {
	if len(seen) == 0 {
		return "the kernel found no disk, stick or CD drive (a driver missing?)"
	}
	names := make([]string, 0, len(seen))
	for name, label := range seen {
		if label != "" {
			name += " (volume " + label + ")"
		}
		names = append(names, name)
	}
	sortStrings(names)
	return "seen: " + strings.Join(names, ", ")
}
