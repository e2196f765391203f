package main

import (
	"golang.org/x/sys/unix"
)

// fileSystems are the kinds that a root can have: where their magic numbers
// and UUIDs lie, in bytes from the start.
var fileSystems = []struct {
	kind, magic string
	magicAt, at int
}{
	{"ext4", "\x53\xef", 1024 + 0x38, 1024 + 0x68},
	{"xfs", "XFSB", 0, 32},
	{"btrfs", "_BHRfS_M", 65536 + 64, 65536 + 32},
}

// readFileSystem returns kind and UUID of the file system on a block device, or
// nothing if it is none of those.
func readFileSystem(device string) (kind, id string) {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", ""
	}
	defer unix.Close(fd)
	for _, f := range fileSystems {
		magic, uuid := make([]byte, len(f.magic)), make([]byte, 16)
		if n, err := unix.Pread(fd, magic, int64(f.magicAt)); err != nil || n < len(magic) || string(magic) != f.magic {
			continue
		}
		if n, err := unix.Pread(fd, uuid, int64(f.at)); err == nil && n == len(uuid) {
			return f.kind, formatUUID(uuid)
		}
	}
	return "", ""
}

func formatUUID(b []byte) string {
	const digits = "0123456789abcdef"
	var text []byte
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text = append(text, '-')
		}
		text = append(text, digits[c>>4], digits[c&15])
	}
	return string(text)
}
