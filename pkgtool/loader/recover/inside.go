package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideArgument marks a call of this program in which the system's root is /.
const insideArgument = "--inside"

// enter starts this program anew where the system's root is /, as it will be soon.
// Triggers need that: from an initial RAM file system's own root nobody can go to
// another one in a sandbox. The mounts are this process's alone. It returns only an
// error.
func enter(root string) error {
	runtime.LockOSThread() // the namespace is that of a thread
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("separate mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("separate mounts: %w", err)
	}
	for _, name := range []string{"/dev", "/proc", "/run", "/sys"} {
		if err := unix.Mount(name, filepath.Join(root, name), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("show %s: %w", name, err)
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("make %s the root: %w", root, err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", []string{os.Args[0], "/", insideArgument}, os.Environ())
}
