package main

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Mount points inside the initial RAM file system and, below root, of the
// system to start.
const (
	medium = "/medium"
	lower  = "/lower"
	upper  = "/upper"
	root   = "/root"
)

// modules is where the drivers are in the initial RAM file system.
const modules = "/modules"

func main() {
	if words := started(); len(words) > 0 && strings.HasSuffix(words[0], "modprobe") {
		unix.Exit(modprobe(words[1:]))
	}
	if unix.Getpid() != 1 {
		print("liveinit is started by the kernel, as process 1\n")
		unix.Exit(2)
	}
	openConsole()
	p, err := findSystem()
	if err != nil {
		emergency(err, true)
	}
	// A shell of the system would hold up a machine that can come back by itself,
	// and let everybody in who sees its console.
	emergency(start(p), false)
}

// started returns the words that this process was started with.
func started() []string {
	text, err := readFile("/proc/self/cmdline", 64<<10)
	if err != nil {
		return nil // there is no /proc yet: the kernel started us
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// findSystem mounts the system's root.
func findSystem() (*parameters, error) {
	if err := mountKernelFileSystems(); err != nil {
		return nil, err
	}
	openConsole() // now that /dev is there for sure
	cmdline, err := readFile("/proc/cmdline", 64<<10)
	if err != nil {
		return nil, err
	}
	p, err := parseCmdline(string(cmdline))
	if err != nil {
		return nil, err
	}
	for _, key := range p.unknown {
		log(priorityWarning, "kernel parameter "+key+" is none of live-init's: "+known)
	}
	hardware := readDrivers(modules)
	hardware.loadListed()
	if err := findRoot(p, hardware); err != nil {
		return nil, err
	}
	return p, nil
}

// start makes the system's root the root and starts what is there; it returns only
// if that fails.
func start(p *parameters) error {
	if err := handOver(); err != nil {
		return err
	}
	if p.rescue && unix.Access(systemdInit, unix.X_OK) != nil {
		p.init = "/bin/sh"
	}
	if p.init == defaultInit && unix.Access(p.init, unix.X_OK) != nil {
		p.init = systemdInit
	}
	say("starting " + p.init)
	environment := []string{"PATH=/usr/bin", "TERM=linux", "HOME=/root"}
	return wrap("start "+p.init, unix.Exec(p.init, []string{p.init}, environment))
}

// findRoot mounts the system to start: from a disk, from what the boot loader
// brought along, or from a medium.
func findRoot(p *parameters, hardware *drivers) error {
	if p.disk != "" {
		device, kind, err := findDisk(p, hardware)
		if err != nil {
			return err
		}
		say("root found on " + device)
		if err := mount(device, root, kind, 0, ""); err != nil {
			return err
		}
		recoverSystem()
		return tellUdev()
	}
	if brought := "/" + p.root; unix.Access(brought, unix.R_OK) == nil {
		say("the system came with the kernel")
		return mountRoot(p, brought)
	}
	device, err := findMedium(p, hardware)
	if err != nil {
		return err
	}
	say("medium " + p.label + " found on " + device)
	if err := mount(device, medium, "iso9660", unix.MS_RDONLY, ""); err != nil {
		return err
	}
	image := medium + "/" + p.root
	if p.toRAM {
		if image, err = copyToMemory(image); err != nil {
			return err
		}
	}
	return mountRoot(p, image)
}

func mountKernelFileSystems() error {
	for _, m := range []struct {
		kind, at string
		flags    uintptr
		data     string
	}{
		{"proc", "/proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=0755"},
		{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
	} {
		if err := mount(m.kind, m.at, m.kind, m.flags, m.data); err != nil {
			return err
		}
	}
	return nil
}

// mountRoot mounts a root image and the writable layer.
func mountRoot(p *parameters, image string) error {
	loop, err := attachLoop(image)
	if err != nil {
		return err
	}
	if err := mount(loop, lower, "squashfs", unix.MS_RDONLY, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", upper, "tmpfs", 0, "mode=0755,size="+p.memory); err != nil {
		return err
	}
	for _, dir := range []string{upper + "/data", upper + "/work"} {
		if err := unix.Mkdir(dir, 0o755); err != nil {
			return wrap("make "+dir, err)
		}
	}
	const layers = "lowerdir=" + lower + ",upperdir=" + upper + "/data,workdir=" + upper + "/work"
	// redirect_dir lets programs rename folders of the lower layer, as an
	// update does. A kernel without it still gives a usable system.
	if mount("overlay", root, "overlay", 0, layers+",redirect_dir=on") == nil {
		return nil
	}
	return mount("overlay", root, "overlay", 0, layers)
}

// copyToMemory copies the root image, and gives the medium free.
func copyToMemory(image string) (string, error) {
	say("copying the system to memory")
	const at = "/memory"
	if err := mount("tmpfs", at, "tmpfs", 0, "mode=0700,size=100%"); err != nil {
		return "", err
	}
	if err := copyFile(at+"/root.squashfs", image); err != nil {
		return "", err
	}
	return at + "/root.squashfs", wrap("unmount the medium", unix.Unmount(medium, 0))
}

// handOver moves the mounts into the system, empties the initial RAM file
// system and makes the system's root the root.
func handOver() error {
	if mounted(medium) {
		if err := makeDirs("/run/ashlar/medium"); err != nil {
			return err
		}
		if err := wrap("move the medium", unix.Mount(medium, "/run/ashlar/medium", "", unix.MS_MOVE, "")); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run"} {
		if err := wrap("the system has no folder "+dir, unix.Access(root+dir, unix.F_OK)); err != nil {
			return err
		}
		if err := wrap("move "+dir, unix.Mount(dir, root+dir, "", unix.MS_MOVE, "")); err != nil {
			return err
		}
	}
	removeInitramfs()
	if err := wrap("enter the system", unix.Chdir(root)); err != nil {
		return err
	}
	if err := wrap("move the root", unix.Mount(root, "/", "", unix.MS_MOVE, "")); err != nil {
		return err
	}
	if err := wrap("change the root", unix.Chroot(".")); err != nil {
		return err
	}
	return wrap("enter the system", unix.Chdir("/"))
}

// mounted says whether something is mounted on a folder.
func mounted(dir string) bool {
	var here, above unix.Stat_t
	return unix.Stat(dir, &here) == nil && unix.Stat(dir+"/..", &above) == nil && here.Dev != above.Dev
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := makeDirs(target); err != nil {
		return err
	}
	err := unix.Mount(source, target, kind, flags, data)
	if err == unix.ENODEV {
		return failure("mount " + source + " on " + target + ": this kernel has no file system " + kind)
	}
	return wrap("mount "+source+" on "+target, err)
}
