package source

import (
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// usable keeps archive times within what every file system can store.
func usable(at time.Time) time.Time {
	if s := at.Unix(); s < 0 || s > 1<<32 {
		return time.Unix(0, 0)
	}
	return at
}

func setTime(f *os.File, at time.Time) error {
	tv := unix.NsecToTimeval(usable(at).UnixNano())
	return unix.Futimes(int(f.Fd()), []unix.Timeval{tv, tv})
}

func setLinkTime(root *os.Root, name string, at time.Time) error {
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	ts := unix.NsecToTimespec(usable(at).UnixNano())
	return unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
