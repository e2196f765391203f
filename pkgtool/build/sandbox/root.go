package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountRoot assembles the root, mounts what a build needs into it, and makes
// it the only thing this mount namespace knows.
func mountRoot(o order) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("separate mounts from the host: %w", err)
	}
	root := filepath.Join(o.Dir, "root")
	if err := mountOverlay(o); err != nil {
		return err
	}
	for _, b := range o.Binds {
		if err := bind(root, b); err != nil {
			return err
		}
	}
	if err := mountOverlays(root, o); err != nil {
		return err
	}
	tmp := fmt.Sprintf("mode=1777,size=%d", o.Limits.Tmp)
	if err := mountIn(root, "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, tmp); err != nil {
		return err
	}
	if err := mountDev(root); err != nil {
		return err
	}
	if err := mountProc(root); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's root: %w", err)
	}
	return os.Chdir("/")
}

// mountOverlay stacks the lower folders. Their names in the options are short
// and relative: the options have to fit in 4 KiB.
func mountOverlay(o order) error {
	if err := os.Chdir(filepath.Join(o.Dir, "lower")); err != nil {
		return err
	}
	var lower []string
	for i := range o.Layers {
		lower = append(lower, fmt.Sprint(i))
	}
	options := "userxattr,lowerdir=" + strings.Join(lower, ":")
	if len(o.Overlays) > 0 {
		options = "volatile," + options // see mountOverlays
	}
	err := unix.Mount("overlay", "../root", "overlay", 0, options+",upperdir=../upper,workdir=../work")
	if !errors.Is(err, unix.EINVAL) {
		if err != nil {
			return fmt.Errorf("stack %d folders (overlayfs): %w", o.Layers, err)
		}
		return nil
	}
	// The scratch folder's file system cannot be an upper one, as in a
	// container whose root is an overlay itself: keep it in memory.
	if err := unix.Mount("tmpfs", "../upper", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, dir := range []string{"../upper/upper", "../upper/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	err = unix.Mount("overlay", "../root", "overlay", 0, options+",upperdir=../upper/upper,workdir=../upper/work")
	if err != nil {
		return fmt.Errorf("stack %d folders (overlayfs): %w", o.Layers, err)
	}
	return nil
}

// mountOverlays mounts the folders whose changes the caller keeps. The names in
// the options are relative to Dir/lower, where mountOverlay has gone. Flushing is
// left to the caller: otherwise each unmount flushes the whole file system.
func mountOverlays(root string, o order) error {
	for i, v := range o.Overlays {
		path, err := place(root, v.Target)
		if err != nil {
			return err
		}
		var lower []string
		for j := range v.Lower {
			lower = append(lower, fmt.Sprintf("%d-%d", i, j))
		}
		options := fmt.Sprintf("userxattr,volatile,lowerdir=%s,upperdir=upper%d,workdir=work%d", strings.Join(lower, ":"), i, i)
		if err := unix.Mount("overlay", path, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return fmt.Errorf("mount %s (overlayfs): %w", v.Target, err)
		}
	}
	return nil
}

// place makes sure that target is a real folder below root, and returns its
// path on the host. A symbolic link on the way is refused: it could lead to
// the host.
func place(root, target string) (string, error) {
	path := root
	for _, part := range strings.Split(strings.Trim(target, "/"), "/") {
		path = filepath.Join(path, part)
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			if err := os.Mkdir(path, 0o755); err != nil {
				return "", err
			}
			continue
		}
		if err != nil {
			return "", err
		}
		if !info.IsDir() {
			return "", fmt.Errorf("%s in the build root is not a folder", strings.TrimPrefix(path, root))
		}
	}
	return path, nil
}

func mountIn(root, target, kind string, flags uintptr, options string) error {
	path, err := place(root, target)
	if err != nil {
		return err
	}
	if err := unix.Mount(kind, path, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

func bind(root string, b Bind) error {
	info, err := os.Stat(b.Source)
	if err != nil {
		return err
	}
	dir := b.Target
	if !info.IsDir() {
		dir = filepath.Dir(b.Target)
	}
	path, err := place(root, dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		path = filepath.Join(path, filepath.Base(b.Target))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		f.Close()
	}
	if err := unix.Mount(b.Source, path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("show %s as %s: %w", b.Source, b.Target, err)
	}
	if b.Writable {
		return nil
	}
	return readOnly(path)
}

// readOnly needs no knowledge of the flags that the host's mount has, unlike
// a remount.
func readOnly(path string) error {
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, attr); err != nil {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

// mountDev makes a /dev with the devices that every program may use.
func mountDev(root string) error {
	if err := mountIn(root, "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=1m"); err != nil {
		return err
	}
	dev := filepath.Join(root, "dev")
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		path := filepath.Join(dev, name)
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("show /dev/%s: %w", name, err)
		}
	}
	if err := mountIn(root, "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return err
	}
	if err := mountIn(root, "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return err
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return nil
}

// mountProc shows the sandbox's own processes. The whole of it is read-only:
// where the caller is the host's root, the kernel's settings below /proc/sys
// would otherwise be writable by owner.
func mountProc(root string) error {
	if err := mountIn(root, "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	proc := filepath.Join(root, "proc")
	// No further user namespaces: in one, a build would be privileged again.
	if err := os.WriteFile(proc+"/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return fmt.Errorf("forbid nested user namespaces: %w", err)
	}
	for _, name := range []string{"kcore", "keys", "key-users", "kallsyms", "kmsg", "sysrq-trigger", "timer_list", "config.gz", "cmdline", "sched_debug"} {
		path := filepath.Join(proc, name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if err := unix.Mount("/dev/null", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("hide /proc/%s: %w", name, err)
		}
	}
	for _, name := range []string{"acpi", "scsi", "driver"} {
		path := filepath.Join(proc, name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_RDONLY, "size=4k"); err != nil {
			return fmt.Errorf("hide /proc/%s: %w", name, err)
		}
	}
	return readOnly(proc)
}

func nameMachine(order) error {
	if err := unix.Sethostname([]byte(HostName)); err != nil {
		return err
	}
	return unix.Setdomainname(nil)
}

// loopbackUp gives test suites an address to listen on.
func loopbackUp(order) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
