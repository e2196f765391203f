package system

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LockedError says that another process is changing the system.
type LockedError struct {
	Holder string // its process id and command line, as far as known
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("another pkgtool is changing this system: %s; wait until it has finished", e.Holder)
}

// lock takes the system's lock for a command, without waiting. The kernel
// gives it back when the process ends, however it ends.
func (d *disk) lock(command []string) (*os.File, error) {
	var f *os.File
	err := d.at("open", lockPath, func(fd int, base string) error {
		n, err := unix.Openat(fd, base, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o644)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(n), lockPath)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lock the system: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the system: %w", err)
		}
		holder, _ := io.ReadAll(io.LimitReader(f, 4096))
		return nil, &LockedError{Holder: printable(string(holder))}
	}
	// Who holds the lock is information only; failing to write it is no harm.
	f.Truncate(0)
	fmt.Fprintf(f, "process %d, %s\n", os.Getpid(), strings.Join(command, " "))
	return f, nil
}

// BackgroundFlag marks the command that prunes in the background. It gives way to
// every other one.
const BackgroundFlag = "--background"

// patience is how long a pruner in the background may take to give way.
const patience = 2 * time.Second

// waitForPruner is lock, but it asks a pruner that works in the background to
// end, and waits for that.
func (d *disk) waitForPruner(command []string) (*os.File, error) {
	deadline := time.Now().Add(patience)
	asked := 0
	for {
		f, err := d.lock(command)
		var locked *LockedError
		if !errors.As(err, &locked) || slices.Contains(command, BackgroundFlag) {
			return f, err
		}
		if !locked.passing() || time.Now().After(deadline) {
			return nil, err
		}
		if pid := locked.pruner(); pid != 0 && pid != asked {
			asked = pid
			unix.Kill(pid, unix.SIGTERM)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// passing reports whether whoever holds the lock will give it back in a moment:
// one that prunes, be it that it has ended since, or one that has not written
// yet who it is.
func (e *LockedError) passing() bool {
	return e.Holder == "" || strings.Contains(e.Holder, BackgroundFlag)
}

// pruner returns the process that holds the lock if it is one that prunes in the
// background, else 0. The lock's text alone could be of a process that is gone.
func (e *LockedError) pruner() int {
	var pid int
	if _, err := fmt.Sscanf(e.Holder, "process %d,", &pid); err != nil || pid <= 1 || !strings.Contains(e.Holder, BackgroundFlag) {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !slices.Contains(strings.Split(string(line), "\x00"), BackgroundFlag) {
		return 0
	}
	return pid
}

// printable makes text from a file safe to show on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, strings.TrimSpace(s))
}
