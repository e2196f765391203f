package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// attachLoop attaches a file to a free loop device, read-only, and returns the
// device. The device frees itself when it is unmounted.
func attachLoop(file string) (string, error) {
	image, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", wrap("open "+file, err)
	}
	defer unix.Close(image)
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", wrap("open /dev/loop-control (kernel without loop devices?)", err)
	}
	defer unix.Close(control)
	number, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", wrap("find a free loop device", err)
	}
	device := "/dev/loop" + decimal(number)
	loop, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for i := 0; err == unix.ENOENT && i < 100; i++ {
		sleep(10)
		loop, err = unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return "", wrap("open "+device, err)
	}
	// The descriptor stays open: AUTOCLEAR frees a device that nobody has open.
	config := unix.LoopConfig{Fd: uint32(image)}
	config.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR
	copy(config.Info.File_name[:len(config.Info.File_name)-1], file)
	if err := unix.IoctlLoopConfigure(loop, &config); err != nil {
		return "", wrap("attach "+file+" to "+device, err)
	}
	return device, nil
}

// listDir returns the names in a folder, sorted.
func listDir(dir string) ([]string, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, wrap("open "+dir, err)
	}
	defer unix.Close(fd)
	var names []string
	b := make([]byte, 16<<10)
	for {
		n, err := unix.ReadDirent(fd, b)
		if err != nil {
			return nil, wrap("list "+dir, err)
		}
		if n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(b[:n], -1, names)
	}
	sortStrings(names)
	return names, nil
}

func sortStrings(s []string) {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

func makeDirs(path string) error {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if err := unix.Mkdir(path[:i], 0o755); err != nil && err != unix.EEXIST {
			return wrap("make "+path[:i], err)
		}
	}
	return nil
}

func readFile(path string, limit int) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, wrap("open "+path, err)
	}
	defer unix.Close(fd)
	var content []byte
	b := make([]byte, 4096)
	for len(content) < limit {
		n, err := unix.Read(fd, b)
		if err != nil {
			return nil, wrap("read "+path, err)
		}
		if n == 0 {
			break
		}
		content = append(content, b[:n]...)
	}
	return content, nil
}

func copyFile(to, from string) error {
	in, err := unix.Open(from, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return wrap("open "+from, err)
	}
	defer unix.Close(in)
	out, err := unix.Open(to, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return wrap("make "+to, err)
	}
	defer unix.Close(out)
	for {
		n, err := unix.Sendfile(out, in, nil, 1<<20)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return wrap("copy "+from, err)
		}
		if n == 0 {
			return nil
		}
	}
}

// removeInitramfs frees the memory of the files in the initial RAM file system:
// everything on the root's own device, and no mount below it.
func removeInitramfs() {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Stat("/", &st) != nil || unix.Statfs("/", &fs) != nil {
		return
	}
	if fs.Type != unix.RAMFS_MAGIC && fs.Type != unix.TMPFS_MAGIC {
		return // not what we think it is: better waste memory than delete files
	}
	removeBelow("", uint64(st.Dev))
}

func removeBelow(dir string, device uint64) {
	names, err := listDir(dir + "/")
	if err != nil {
		return
	}
	for _, name := range names {
		path := dir + "/" + name
		var st unix.Stat_t
		if unix.Lstat(path, &st) != nil || uint64(st.Dev) != device {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			removeBelow(path, device)
			unix.Rmdir(path)
		} else {
			unix.Unlink(path)
		}
	}
}

// sleep waits for some milliseconds.
func sleep(milliseconds int) {
	t := unix.NsecToTimespec(int64(milliseconds) * 1_000_000)
	unix.Nanosleep(&t, nil)
}

// isTerminal says whether a descriptor is a terminal.
func isTerminal(fd int) bool {
	var t unix.Termios
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TCGETS, uintptr(unsafe.Pointer(&t)))
	return errno == 0
}
