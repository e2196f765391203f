package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ignored succeed and do nothing unless the Spec says Owners: there is one uid,
// and ownership comes from the recipe.
var ignored = []uint32{unix.SYS_CHOWN, unix.SYS_FCHOWN, unix.SYS_LCHOWN, unix.SYS_FCHOWNAT}

// refused answer EPERM: a build has no business with them.
var refused = []uint32{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_REBOOT, unix.SYS_ACCT, unix.SYS_SYSLOG,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_SETTIMEOFDAY,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_IOPL, unix.SYS_IOPERM,
}

// absent answer ENOSYS, so that programs take another way. clone3 is among
// them because its flags are behind a pointer, out of a filter's reach.
var absent = []uint32{
	unix.SYS_CLONE3, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_USERFAULTFD, unix.SYS_MEMFD_SECRET, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_NFSSERVCTL,
}

// Places in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16
	dataArg1   = 24
)

const (
	returnAllow = uint32(unix.SECCOMP_RET_ALLOW)
	returnErrno = uint32(unix.SECCOMP_RET_ERRNO)

	namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
		unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME
)

// program is the filter, in classic BPF.
func program(owners bool) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	jump := func(how uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | how | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }

	p := []unix.SockFilter{
		load(dataArch),
		jump(unix.BPF_JEQ, unix.AUDIT_ARCH_X86_64, 1, 0),
		answer(returnErrno | uint32(unix.ENOSYS)), // 32-bit calls
		load(dataNumber),
		jump(unix.BPF_JGE, 0x40000000, 0, 1),
		answer(returnErrno | uint32(unix.ENOSYS)), // x32 calls
	}
	for _, group := range []struct {
		calls []uint32
		errno unix.Errno
	}{{ignored, 0}, {refused, unix.EPERM}, {absent, unix.ENOSYS}} {
		if owners && group.errno == 0 {
			continue
		}
		for _, call := range group.calls {
			p = append(p, jump(unix.BPF_JEQ, call, 0, 1), answer(returnErrno|uint32(group.errno)))
		}
	}
	return append(p,
		jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, 2),
		load(dataArg0),
		jump(unix.BPF_JSET, namespaceFlags, 4, 3),
		jump(unix.BPF_JEQ, unix.SYS_IOCTL, 0, 2),
		load(dataArg1),
		jump(unix.BPF_JEQ, unix.TIOCSTI, 1, 0), // typing for the caller's terminal
		answer(returnAllow),
		answer(returnErrno|uint32(unix.EPERM)),
	)
}

// filterSystemCalls applies the filter to every thread; what they start
// inherits it.
func filterSystemCalls(o order) error {
	filter := program(o.Owners)
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}
