// Command probe is what hostile recipes run in a build: it tries an act and
// prints "ACT name: result", where the result is an error or "possible".
package main

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	acts := map[string]func(args []string) error{
		"look": look, "listen": listen, "talk": talk, "daemon": daemon, "hold": hold, "late": late,
		"bomb": bomb, "fill": fill, "eat": eat, "flood": flood, "inodes": inodes, "silent": silent, "left": left, "out": out,
	}
	act := acts[os.Args[1]]
	if act == nil {
		fmt.Println("there is no act", os.Args[1])
		os.Exit(2)
	}
	if err := act(os.Args[2:]); err != nil {
		fmt.Println("probe:", err)
		os.Exit(1)
	}
}

// tell prints the outcome of an act.
func tell(name string, err error) {
	result := "possible"
	if err != nil {
		result = strings.ReplaceAll(err.Error(), "\n", " ")
	}
	fmt.Printf("ACT %s: %s\n", name, result)
}

// fact prints what a build can see.
func fact(name string, value any) { fmt.Printf("FACT %s: %v\n", name, value) }

// look tries everything that needs no preparation. Arguments are name=value:
// what the test has put on the host.
func look(args []string) error {
	host := map[string]string{}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		host[name] = value
	}
	surroundings()
	files(host)
	network(host)
	powers(host)
	return nil
}

func files(host map[string]string) {
	read := func(name, path string) {
		_, err := os.ReadFile(path)
		tell(name, err)
	}
	for _, path := range []string{"/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/root/.ssh/id_ed25519", "/root/.bashrc", "/sys/class/dmi/id/product_name", "/etc/machine-id"} {
		read("read "+path, path)
	}
	read("read canary", host["canary"]+"/secret")
	read("read key", host["keys"])
	_, err := os.ReadDir(host["canary"])
	tell("list canary", err)
	homes, _ := os.ReadDir("/home")
	fact("homes", len(homes))
	for _, dir := range []string{"/usr", "/var", "/tmp", "/etc", "/", "/opt"} {
		// The build's own root may take it; the host's must not.
		os.MkdirAll(dir, 0o755)
		os.WriteFile(dir+"/"+host["mark"], []byte("x"), 0o644)
	}
	if os.MkdirAll(host["canary"], 0o755) == nil {
		os.WriteFile(host["canary"]+"/written", []byte("x"), 0o644)
	}
	tell("change the seed", os.WriteFile("/usr/share/seed", []byte("changed"), 0o644))
	tell("write to /sources", os.WriteFile("/sources/x", nil, 0o644))
	tell("write to /recipe", os.WriteFile("/recipe/x", nil, 0o644))
	for _, path := range []string{"/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", host["canary"] + "/socket"} {
		_, err := net.Dial("unix", path)
		tell("socket "+filepath.Base(path), err)
	}
	var setuid []string
	filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if path == "/proc" {
			return filepath.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
				setuid = append(setuid, path)
			}
		}
		return nil
	})
	fact("setuid", setuid)
}

func network(host map[string]string) {
	dial := func(kind, address string) error {
		c, err := net.DialTimeout(kind, address, time.Second)
		if err != nil {
			return err
		}
		c.SetDeadline(time.Now().Add(300 * time.Millisecond))
		c.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return err
		}
		return nil
	}
	tell("tcp to the host", dial("tcp", host["tcp"]))
	tell("udp to the host", dial("udp", host["udp"]))
	tell("tcp to the world", dial("tcp", "192.0.2.1:80"))
	tell("metadata", dial("tcp", "169.254.169.254:80"))
	tell("udp to the world", dial("udp", "192.0.2.1:53"))
	_, err := net.LookupHost("example.org")
	tell("dns", err)
	_, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	tell("raw socket", err)
	_, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	tell("packet socket", err)
	_, err = net.Dial("unix", host["abstract"])
	tell("abstract socket", err)
}

func surroundings() {
	for _, entry := range os.Environ() {
		fact("env", entry)
	}
	name, _ := os.Hostname()
	fact("hostname", name)
	fact("umask", fmt.Sprintf("%03o", unix.Umask(0o022)))
	zone, _ := time.Now().Zone()
	fact("zone", zone)
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && !strings.HasPrefix(to, "anon_inode") && !strings.HasPrefix(to, "/proc/") {
			fact("fd", fd.Name()+" "+strings.SplitN(to, ":", 2)[0])
		}
	}
	entries, _ := os.ReadDir("/dev")
	var devices []string
	for _, e := range entries {
		devices = append(devices, e.Name())
	}
	fact("dev", strings.Join(devices, " "))
	processes, _ := filepath.Glob("/proc/[0-9]*")
	fact("processes", len(processes))
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key == "CapEff" || key == "CapBnd" || key == "NoNewPrivs" || key == "Seccomp" || key == "Uid" {
			fact(key, strings.Join(strings.Fields(value), " "))
		}
	}
	_, err := os.Stat("/sys/kernel")
	tell("see /sys", err)
}

func powers(host map[string]string) {
	pid := 0
	fmt.Sscan(host["pid"], &pid)
	if pid > 1 {
		tell("signal the host", unix.Kill(pid, 0))
		tell("trace the host", unix.PtraceAttach(pid))
	}
	_, err := os.Readlink("/proc/1/exe")
	tell("look into pid 1", err)
	tell("mount", unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""))
	tell("umount", unix.Unmount("/proc", unix.MNT_DETACH))
	tell("pivot_root", unix.PivotRoot("/", "/tmp"))
	tell("unshare", unix.Unshare(unix.CLONE_NEWUSER))
	tell("mknod", unix.Mknod("/tmp/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	tell("sethostname", unix.Sethostname([]byte("x")))
	tell("settime", unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{}))
	for _, path := range []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/self/oom_score_adj"} {
		tell("write "+path, os.WriteFile(path, []byte("0"), 0))
	}
	for name, number := range map[string]uintptr{
		"keyctl": unix.SYS_KEYCTL, "add_key": unix.SYS_ADD_KEY, "bpf": unix.SYS_BPF, "perf_event_open": unix.SYS_PERF_EVENT_OPEN,
		"kexec_load": unix.SYS_KEXEC_LOAD, "init_module": unix.SYS_INIT_MODULE, "finit_module": unix.SYS_FINIT_MODULE,
		"delete_module": unix.SYS_DELETE_MODULE, "userfaultfd": unix.SYS_USERFAULTFD, "io_uring_setup": unix.SYS_IO_URING_SETUP,
		"open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT, "swapon": unix.SYS_SWAPON, "reboot": unix.SYS_REBOOT,
	} {
		_, _, errno := unix.Syscall6(number, 0, 0, 0, 0, 0, 0)
		err := error(nil)
		if errno != 0 {
			err = errno
		}
		tell("call "+name, err)
	}
}

// ways are how builds could meet.
func ways(server bool) map[string]func() error {
	const name = "ashlar-meeting"
	file := func(path string) func() error {
		return func() error {
			if server {
				return os.WriteFile(path, []byte("x"), 0o666)
			}
			_, err := os.Stat(path)
			return err
		}
	}
	all := map[string]func() error{
		"tmp": file("/tmp/" + name), "shm": file("/dev/shm/" + name), "var": file("/var/tmp/" + name),
		"sysv": func() error {
			flags := 0o666
			if server {
				flags |= unix.IPC_CREAT
			}
			_, err := unix.SysvShmGet(4711, 4096, flags)
			return err
		},
		"abstract": func() error {
			if !server {
				_, err := net.Dial("unix", "@"+name)
				return err
			}
			_, err := net.Listen("unix", "@"+name)
			return err
		},
		"tcp": func() error {
			if !server {
				_, err := net.DialTimeout("tcp", "127.0.0.1:4711", time.Second)
				return err
			}
			_, err := net.Listen("tcp", "127.0.0.1:4711")
			return err
		},
	}
	return all
}

// listen makes meeting places and waits; talk looks for them.
func listen([]string) error {
	for name, do := range ways(true) {
		tell("offer "+name, do())
	}
	time.Sleep(3 * time.Second)
	return nil
}

func talk([]string) error {
	time.Sleep(time.Second)
	for name, do := range ways(false) {
		tell("meet "+name, do())
	}
	return nil
}

// daemon leaves a process behind, which has its mark among its arguments.
func daemon(args []string) error {
	cmd := exec.Command("/usr/bin/probe", "hold", args[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

func hold([]string) error { time.Sleep(10 * time.Minute); return nil }

// late leaves a process behind that goes on writing to what was installed.
func late([]string) error {
	path := os.Getenv("DESTDIR") + "/usr/share/late"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.Command("/usr/bin/bash", "-c", "while :; do echo more >&3; done")
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

func bomb([]string) error {
	for i := range 100_000 {
		if err := exec.Command("/usr/bin/probe", "hold").Start(); err != nil {
			fmt.Println("after", i, "processes:", err)
			time.Sleep(20 * time.Second)
			return err
		}
	}
	return nil
}

// fill writes until it may not, to the named folder.
func fill(args []string) error {
	block := make([]byte, 1<<20)
	for i := range 100_000 {
		if err := os.WriteFile(fmt.Sprintf("%s/%d", args[0], i), block, 0o644); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

func inodes(args []string) error {
	for i := range 10_000_000 {
		if err := os.WriteFile(fmt.Sprintf("%s/i%d", args[0], i), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func eat([]string) error {
	var all [][]byte
	for range 100_000 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%d MiB were free", len(all))
}

func flood([]string) error {
	line := strings.Repeat("x", 1000) + "\n"
	for {
		if _, err := io.WriteString(os.Stdout, line); err != nil {
			return err
		}
	}
}

func silent([]string) error { time.Sleep(10 * time.Minute); return nil }

// left leaves things that are hard to remove.
func left([]string) error {
	base := os.Getenv("BUILDDIR")
	for _, dir := range []string{"/a", "/a/b", "/a/b/c"} {
		os.MkdirAll(base+dir, 0o755)
		os.WriteFile(base+dir+"/file", nil, 0)
	}
	unix.Mkfifo(base+"/fifo", 0)
	if _, err := net.Listen("unix", base+"/socket"); err != nil {
		return err
	}
	f, err := os.Create(base + "/immutable")
	if err != nil {
		return err
	}
	tell("make immutable", unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0x10))
	if err := os.Chdir(base); err != nil {
		return err
	}
	for i := range 3000 {
		if err := os.Mkdir("deep", 0o755); err != nil {
			return fmt.Errorf("at depth %d: %w", i, err)
		}
		if err := os.Chdir("deep"); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/a/b/c", "/a/b", "/a"} {
		os.Chmod(base+dir, 0)
	}
	return nil
}

// out installs what a packager must not follow.
func out(args []string) error {
	dest, base := os.Getenv("DESTDIR")+"/usr/share/out", args[0]
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(dest+"/file", []byte("own content\n"), 0o644); err != nil {
		return err
	}
	tell("hard link to a source", os.Link("/recipe/input", dest+"/hard"))
	tell("hard link to the root", os.Link("/usr/bin/probe", dest+"/probe"))
	tell("device", unix.Mknod(dest+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	tell("attribute", unix.Setxattr(dest+"/file", "user.test", []byte("x"), 0))
	for name, target := range map[string]string{"passwd": "/etc/passwd", "canary": base + "/secret", "folder": base} {
		if err := os.Symlink(target, dest+"/"+name); err != nil {
			return err
		}
	}
	return nil
}
