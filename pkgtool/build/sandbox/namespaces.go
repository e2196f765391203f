package sandbox

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaces says what a sandbox has for itself. With owners every user and
// group number that this process knows means the same inside.
func namespaces(owners bool) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if !owners {
		return attr, nil
	}
	// Where setgroups is forbidden already it cannot be allowed again.
	setgroups, err := os.ReadFile("/proc/self/setgroups")
	if err != nil {
		return nil, err
	}
	attr.GidMappingsEnableSetgroups = strings.TrimSpace(string(setgroups)) == "allow"
	for path, into := range map[string]*[]syscall.SysProcIDMap{
		"/proc/self/uid_map": &attr.UidMappings, "/proc/self/gid_map": &attr.GidMappings,
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if *into, err = identity(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return attr, nil
}

// identity maps each number that a uid_map or gid_map has to itself.
func identity(text string) (maps []syscall.SysProcIDMap, err error) {
	for line := range strings.Lines(text) {
		var inside, outside, size int
		if _, err := fmt.Sscan(line, &inside, &outside, &size); err != nil {
			return nil, err
		}
		maps = append(maps, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	return maps, nil
}
