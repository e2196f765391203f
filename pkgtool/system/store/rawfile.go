package store

import (
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawFile is an open file. Unlike os.File it costs no system calls but
// the needed ones.
type rawFile int

func (f rawFile) Write(data []byte) (written int, err error) {
	for written < len(data) {
		n, err := unix.Write(int(f), data[written:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// Read returns io.EOF at the end, also of a file shorter than it was.
func (f rawFile) Read(data []byte) (int, error) {
	for {
		n, err := unix.Read(int(f), data)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0 && len(data) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (f rawFile) Close() error { return unix.Close(int(f)) }

// dress sets what a file was not created with; made is nil if that is unknown.
// The order matters: a change of owner clears setuid bits and capabilities, and
// everything changes the time.
func (f rawFile) dress(o *Object, mtime int64, made *creation) error {
	if made == nil || made.uid != o.UID || made.gid != o.GID {
		if err := unix.Fchown(int(f), int(o.UID), int(o.GID)); err != nil {
			return fmt.Errorf("give it to %d:%d: %w", o.UID, o.GID, err)
		}
	}
	if made == nil || o.Mode&^made.stays != 0 {
		if err := unix.Fchmod(int(f), o.Mode); err != nil {
			return fmt.Errorf("set mode %04o: %w", o.Mode, err)
		}
	}
	for name, value := range o.Xattrs {
		if err := unix.Fsetxattr(int(f), name, value, 0); err != nil {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	return f.setTime(mtime)
}

// setTime is futimens(3), which golang.org/x/sys offers only with a path.
func (f rawFile) setTime(seconds int64) error {
	times := [2]unix.Timespec{{Sec: seconds}, {Sec: seconds}}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(f), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("set the time: %w", errno)
	}
	return nil
}
