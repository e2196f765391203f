package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// setLimits makes the surroundings of every process equal on every host.
func setLimits(o order) error {
	unix.Umask(0o022)
	for _, l := range []struct {
		what       int
		soft, hard uint64
	}{
		{unix.RLIMIT_CORE, 0, 0},
		{unix.RLIMIT_NOFILE, 1024, 65536},
		{unix.RLIMIT_STACK, 8 << 20, unix.RLIM_INFINITY},
		{unix.RLIMIT_FSIZE, uint64(o.Limits.File), uint64(o.Limits.File)},
		// A second line behind the meter, which says what happened.
		{unix.RLIMIT_NPROC, uint64(2*o.Limits.Processes + 64), uint64(2*o.Limits.Processes + 64)},
	} {
		var now unix.Rlimit
		if err := unix.Getrlimit(l.what, &now); err != nil {
			return err
		}
		limit := unix.Rlimit{Max: min(l.hard, now.Max)}
		limit.Cur = min(l.soft, limit.Max)
		if err := unix.Setrlimit(l.what, &limit); err != nil {
			return fmt.Errorf("limit %d: %w", l.what, err)
		}
	}
	return nil
}

// fixAddresses makes hash orders that depend on addresses the same every time.
func fixAddresses(order) error {
	const addrNoRandomize = 0x0040000
	return allThreads(unix.SYS_PERSONALITY, addrNoRandomize, 0)
}

// kept are the capabilities that make install uses; within the namespace they
// reach no further than the build's own files and processes.
var kept = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER, unix.CAP_FSETID,
	unix.CAP_KILL, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETFCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT,
}

func dropPrivileges(order) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(kept, c) {
			continue
		}
		// EINVAL: this kernel does not know the capability.
		if err := allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c); err != nil && err != syscall.EINVAL {
			return fmt.Errorf("capability %d: %w", c, err)
		}
	}
	// Nobody in the sandbox looks into pid 1: it holds the pipes to the host.
	return allThreads(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
}

// allThreads makes a system call that counts for one thread in every thread:
// commands are started from any of them.
func allThreads(trap, a1, a2 uintptr) error {
	switch _, _, errno := syscall.AllThreadsSyscall(trap, a1, a2, 0); errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errors.New("this program was built with cgo, which has threads that Go does not know; build it with CGO_ENABLED=0")
	default:
		return errno
	}
}
