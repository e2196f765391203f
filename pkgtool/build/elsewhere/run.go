package elsewhere

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Order says what runs, and how things are there.
type Order struct {
	Args []string // of this program, without its name
	Env  []string // NAME=value, the whole environment
	Dir  string   // working folder, as the program sees it

	Umask int
	CPUs  int // how many of the host's cores it may use; 0 means all

	// The following are for root only; see [Stranger].
	User     int    // user and group number; 0 stays root
	HostName string // "" stays
	Shows    []Show
}

// Show is a folder of the host under another path.
type Show struct {
	Folder string
	As     string // below [Base]
}

// Base is a folder that everybody may enter. What the program is shown lies
// below it; what the host has there the program does not see.
func Base() string {
	for _, dir := range []string{"/mnt", "/media", "/srv"} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return "/tmp"
}

// Nobody is the number of the ordinary user that root becomes.
const Nobody = 65534

// Stranger reports whether the caller may run things as another user under
// other paths.
func Stranger() bool { return os.Geteuid() == 0 }

const (
	enterArgument = "build-elsewhere"
	nameArgument  = "build-elsewhere-user" // keeps a user namespace alive
)

// Run runs the program and waits for its end. When ctx ends, the program is
// asked to stop, and killed after a while.
func Run(ctx context.Context, o Order, stdout, stderr io.Writer) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	orderR, orderW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer orderR.Close()
	defer orderW.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", enterArgument)
	cmd.Env = []string{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.ExtraFiles = []*os.File{orderR}
	if o.foreign() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS}
	}
	if o.User != 0 {
		users, err := mapRootTo(o.User)
		if err != nil {
			return fmt.Errorf("map root to user %d: %w", o.User, err)
		}
		defer users.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, users)
	}
	// The program dies with the thread that started it, see enter; so that
	// thread stays for as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	orderR.Close()
	_, writeErr := orderW.Write(text)
	orderW.Close()
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return writeErr
}

// foreign reports whether the order needs namespaces of its own.
func (o *Order) foreign() bool { return o.User != 0 || o.HostName != "" || len(o.Shows) > 0 }

// mapRootTo returns a user namespace in which root is the host's user number id.
func mapRootTo(id int) (*os.File, error) {
	cmd := exec.Command("/proc/self/exe", nameArgument)
	cmd.Env = []string{}
	one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: one, GidMappings: one}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	users, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	stdin.Close()
	return users, errors.Join(err, cmd.Wait())
}

// MaybeEnter takes over the process when [Run] started it. Call it first thing
// in main, and in TestMain of tests that use Run.
func MaybeEnter() {
	if len(os.Args) != 2 {
		return
	}
	switch os.Args[1] {
	case nameArgument:
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	case enterArgument:
		err := enter()
		fmt.Fprintln(os.Stderr, "pkgtool: begin elsewhere:", err)
		os.Exit(1)
	}
}

// enter sets everything up and becomes the program.
func enter() error {
	// What counts for one thread has to be done in the one that executes.
	runtime.LockOSThread()
	unix.Umask(0o022)
	var o Order
	if err := json.NewDecoder(os.NewFile(3, "order")).Decode(&o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	if o.foreign() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("separate mounts from the host: %w", err)
		}
	}
	if err := showAll(o); err != nil {
		return err
	}
	if o.HostName != "" {
		if err := unix.Sethostname([]byte(o.HostName)); err != nil {
			return err
		}
	}
	if o.User != 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(o.User), syscall.Setuid(o.User)); err != nil {
			return fmt.Errorf("become user %d: %w", o.User, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return err
	}
	if err := useCores(o.CPUs); err != nil {
		return err
	}
	unix.Umask(o.Umask)
	if o.Dir != "" {
		if err := os.Chdir(o.Dir); err != nil {
			return err
		}
	}
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", append([]string{"pkgtool"}, o.Args...), o.Env)
}

// userNamespace is the descriptor under which Run hands it on.
const userNamespace = 4

// showAll mounts the folders below an empty Base. They are opened before: they
// may themselves lie there.
func showAll(o Order) error {
	if len(o.Shows) == 0 {
		return nil
	}
	var trees []int
	for _, s := range o.Shows {
		tree, err := openTree(s.Folder, o.User != 0)
		if err != nil {
			return fmt.Errorf("show %s: %w", s.Folder, err)
		}
		defer unix.Close(tree)
		trees = append(trees, tree)
	}
	if err := unix.Mount("tmpfs", Base(), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=1m"); err != nil {
		return err
	}
	for i, s := range o.Shows {
		err := os.MkdirAll(s.As, 0o755)
		if err == nil {
			err = unix.MoveMount(trees[i], "", unix.AT_FDCWD, s.As, unix.MOVE_MOUNT_F_EMPTY_PATH)
		}
		if err != nil {
			return fmt.Errorf("show %s as %s: %w", s.Folder, s.As, err)
		}
	}
	return nil
}

// openTree returns a mount of a folder; mapped makes what is root's the ordinary
// user's.
func openTree(dir string, mapped bool) (int, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil || !mapped {
		return tree, err
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: userNamespace}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, attr); err != nil {
		unix.Close(tree)
		return 0, fmt.Errorf("its file system has no idmapped mounts: %w", err)
	}
	return tree, nil
}

// useCores leaves the first n of the cores that this process may use.
func useCores(n int) error {
	var may, set unix.CPUSet
	if n <= 0 {
		return nil
	}
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return err
	}
	set.Zero()
	for cpu := 0; cpu < len(may)*64 && set.Count() < n; cpu++ {
		if may.IsSet(cpu) {
			set.Set(cpu)
		}
	}
	return unix.SchedSetaffinity(0, &set)
}

// Environ is the environment of a stranger: nothing of the caller's but where
// programs lie and how to reach the network, another time zone and another
// language.
func Environ(home string) []string {
	env := []string{
		"HOME=" + home, "TMPDIR=" + home, "TZ=Pacific/Kiritimati", "LANG=fr_CH.UTF-8", "LC_ALL=fr_CH.UTF-8",
		"USER=stranger", "LOGNAME=stranger", "CFLAGS=-O0", "SOURCE_DATE_EPOCH=1",
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch strings.ToUpper(name) {
		case "PATH", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "GOPROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
			env = append(env, entry)
		}
	}
	return env
}
