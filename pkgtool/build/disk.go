package build

import (
	"errors"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

const diskHint = "make room on the file system of the cache, or move the cache with ASHLAR_CACHE"

// explainDisk adds what to do to an error about a full disk.
func explainDisk(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fault.Mark(err, fault.Failed, diskHint)
	}
	return err
}

// nearlyFull reports whether a file system has so little left that a program's
// failure may well come from there.
func nearlyFull(dir string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false
	}
	return st.Bavail*uint64(st.Bsize) < 8<<20 || st.Files > 0 && st.Ffree < 100
}
