package farm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func inodeOf(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

// do is one command of a build.
func do(what string, args []string) int {
	err := func() error {
		switch what {
		case "surroundings":
			return os.WriteFile("/dest/surroundings", []byte(surroundings()), 0o644)
		case "tree":
			return install()
		case "tree-again": // what the first command left in /build is still there
			data, err := os.ReadFile("/build/objects/made")
			if err != nil {
				return err
			}
			return os.WriteFile("/dest/from-build", data, 0o600)
		case "leave-running":
			cmd := exec.Command("/usr/bin/probe", "do", "sleep", "1h")
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr // would keep a log open
			return cmd.Start()
		case "sleep":
			d, err := time.ParseDuration(args[0])
			time.Sleep(d)
			return err
		case "put":
			return os.WriteFile(filepath.Join("/dest", args[0]), []byte(args[1]), 0o644)
		case "install": // a file of the package, with all that is known of the libraries
			name := filepath.Join(os.Getenv("DESTDIR"), args[0])
			text := fmt.Sprintln(args[0])
			for _, lib := range []string{"/usr/include/lib.h", "/usr/include/lib.h2"} {
				data, _ := os.ReadFile(lib)
				text += string(data)
			}
			return errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
		case "print":
			fmt.Println(args[0])
			return nil
		case "print-much":
			for i := range 200_000 {
				fmt.Println("line", i, strings.Repeat("x", 20))
			}
			return nil
		case "fill":
			n, _ := strconv.Atoi(args[0])
			if err := os.WriteFile("/build/large", bytes.Repeat([]byte("x"), n<<20), 0o644); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			return nil
		case "write-silently": // a file every tenth of a second
			n, _ := strconv.Atoi(args[0])
			for i := range n {
				if err := os.WriteFile(fmt.Sprint("/build/object", i), []byte("x"), 0o644); err != nil {
					return err
				}
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		case "take-memory":
			n, _ := strconv.Atoi(args[0])
			taken := bytes.Repeat([]byte("x"), n<<20)
			time.Sleep(time.Minute)
			fmt.Println(len(taken))
			return nil
		case "fork":
			n, _ := strconv.Atoi(args[0])
			for range n {
				if err := exec.Command("/usr/bin/probe", "do", "sleep", "1m").Start(); err != nil {
					return err
				}
			}
			time.Sleep(time.Minute)
			return nil
		case "network":
			return network()
		case "socket":
			return unix.Mknod("/dest/socket", unix.S_IFSOCK|0o644, 0)
		case "speak": // as pid 1 would
			conn, err := net.Dial("unix", "/.ashlar/socket")
			if err != nil {
				return nil // also fine
			}
			conn.Write([]byte("e\x00\x00\x00\x0d{\"done\":true}"))
			n, err := conn.Read(make([]byte, 1))
			if n != 0 || err == nil {
				return fmt.Errorf("somebody answered")
			}
			return nil
		case "fail":
			fmt.Println("the compiler says no")
			os.Exit(3)
		case "die":
			return unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		return fmt.Errorf("no command %q", what)
	}()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// surroundings is what a build can find out about where it runs, and what its
// output might depend on.
func surroundings() string {
	var out strings.Builder
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	mask := unix.Umask(0)
	unix.Umask(mask)
	groups, _ := os.Getgroups()
	_ = groups // root's other groups are those of the host
	fmt.Fprintln(&out, "host", host, "dir", dir, "umask", mask, "ids", os.Getuid(), os.Geteuid(), os.Getgid())
	env := os.Environ()
	slices.Sort(env)
	fmt.Fprintln(&out, "env", env)
	for what, name := range map[int]string{unix.RLIMIT_CORE: "core", unix.RLIMIT_FSIZE: "fsize", unix.RLIMIT_STACK: "stack"} {
		var l unix.Rlimit
		unix.Getrlimit(what, &l)
		fmt.Fprintln(&out, name, l.Cur)
	}
	lines := strings.Split(out.String(), "\n")
	slices.Sort(lines)
	out.Reset()
	fmt.Fprintln(&out, strings.Join(lines, "\n"))
	for _, dir := range []string{"/", "/etc", "/sys", "/build", "/sources", "/recipe", "/usr", "/tmp", "/dest"} {
		list, err := os.ReadDir(dir)
		fmt.Fprint(&out, dir, ":")
		for _, d := range list {
			if d.Name() == ".ashlar" {
				continue // the one thing that a farm adds
			}
			fmt.Fprint(&out, " ", d.Name(), " ", d.Type())
		}
		fmt.Fprintln(&out, " ", err)
	}
	links, _ := net.Interfaces()
	for _, l := range links {
		fmt.Fprintln(&out, "link", l.Name, l.Flags)
	}
	for _, name := range []string{"/etc/hosts", "/recipe/files.conf", "/sources/archive.tar", "/usr/share/top"} {
		data, err := os.ReadFile(name)
		fmt.Fprintf(&out, "%s %q %v\n", name, data, err)
	}
	for _, name := range []string{"/recipe/x", "/sources/x", "/sys/x"} {
		fmt.Fprintln(&out, os.WriteFile(name, nil, 0o644) != nil)
	}
	for _, name := range []string{"/build/x", "/tmp/x", "/dev/shm/x", "/etc/x", "/usr/x"} {
		fmt.Fprintln(&out, os.WriteFile(name, nil, 0o644))
	}
	fmt.Fprintln(&out, "rename", os.Rename("/build/objects", "/build/objects2"), os.Rename("/build/objects2", "/build/objects"))
	fmt.Fprintln(&out, "chown", os.Chown("/build/x", 12, 13), unix.Fchownat(-1, "/build/x", 1, 1, 0))
	fmt.Fprintln(&out, "mount", unix.Mount("", "/", "", unix.MS_REMOUNT, ""), unix.Unshare(unix.CLONE_NEWUSER))
	fmt.Fprintln(&out, "device", unix.Mknod("/build/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	fmt.Fprintln(&out, "listen", func() error { _, err := net.Listen("tcp", "127.0.0.1:80"); return err }())
	return out.String()
}

// install installs one of each kind of file.
func install() error {
	for _, dir := range []string{"/dest/usr/bin", "/dest/usr/empty", "/dest/private"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, mode := range map[string]uint32{"usr/bin/setuid": 0o4755, "usr/bin/sticky": 0o1755, "usr/bin/none": 0, "usr/bin/group": 0o2711, "usr/bin/plain": 0o644} {
		if err := os.WriteFile("/dest/"+name, []byte(name), 0o600); err != nil {
			return err
		}
		if err := unix.Chmod("/dest/"+name, mode); err != nil {
			return err
		}
	}
	for _, step := range []error{
		os.Symlink("../../outside/../..", "/dest/usr/link"), os.Symlink("/etc/passwd", "/dest/usr/absolute"),
		os.Link("/dest/usr/bin/plain", "/dest/usr/bin/second"), os.Link("/dest/usr/bin/plain", "/dest/another"),
		unix.Mkfifo("/dest/pipe", 0o640), unix.Chmod("/dest/private", 0o700), unix.Chmod("/dest/usr/empty", 0o1777),
		os.WriteFile("/dest/umlaut-ä\n-and-\xff", []byte{0, 1, 255}, 0o644),
		os.WriteFile("/build/objects/made", []byte("in the build folder"), 0o644),
		os.Chmod("/build/objects", 0o700),
	} {
		if step != nil {
			return step
		}
	}
	return nil
}

// network tries what a build must not be able to.
func network() error {
	for _, address := range []string{"8.8.8.8:53", "1.1.1.1:443", "169.254.169.254:80"} {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			return fmt.Errorf("reached %s", address)
		}
	}
	return nil
}
