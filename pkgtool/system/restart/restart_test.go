package restart

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "hold" {
		os.Exit(hold(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// hold maps files and waits for the end of its input.
func hold(names []string) int {
	for _, name := range names {
		f, err := os.Open(name)
		if err == nil {
			_, err = unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		f.Close()
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// world is a root folder with a program and libraries.
type world struct {
	t    *testing.T
	root string
}

func newWorld(t *testing.T) *world {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t, root}
	for _, name := range []string{"usr/lib/libc.so.6", "usr/lib/libz.so.1", "usr/lib/libx.so.1", "var/cache/index"} {
		w.write(name, "old")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	w.write("usr/bin/server", string(self))
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.root, name) }

// write replaces a file by a new one, as a transaction in place does.
func (w *world) write(name, text string) {
	w.t.Helper()
	temp := w.path(name) + ".tmp"
	err := errors.Join(os.MkdirAll(filepath.Dir(temp), 0o755), os.WriteFile(temp, []byte(text), 0o755), os.Rename(temp, w.path(name)))
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start(attr *syscall.SysProcAttr, program string, names ...string) int {
	w.t.Helper()
	cmd := exec.Command(program, append([]string{"hold"}, names...)...)
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { in.Close(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		w.t.Fatal(line, err)
	}
	return cmd.Process.Pid
}

func (w *world) holder() int {
	w.t.Helper()
	return w.start(nil, w.path("usr/bin/server"), w.path("usr/lib/libc.so.6"), w.path("usr/lib/libz.so.1"), w.path("usr/lib/libx.so.1"), w.path("var/cache/index"))
}

// expect looks for old files of a process; none means that it is not reported.
func (w *world) expect(pid int, files ...string) *Report {
	w.t.Helper()
	r, err := Processes(w.root)
	if err != nil {
		w.t.Fatal(err)
	}
	var got []string
	for _, p := range r.Processes {
		if p.PID == pid {
			got = p.Files
			if p.Name == "" || !strings.Contains(p.Command, "hold") {
				w.t.Errorf("process %+v", p)
			}
		}
	}
	if !slices.Equal(got, files) {
		w.t.Errorf("got %q, want %q", got, files)
	}
	return r
}

func TestReplacedInPlace(t *testing.T) {
	w := newWorld(t)
	pid := w.holder()
	if r := w.expect(pid); !r.Empty() {
		t.Errorf("%+v", r)
	}
	w.write("usr/lib/libz.so.1", "new")
	w.write("var/cache/index", "new") // not what packages bring
	if r := w.expect(pid, "/usr/lib/libz.so.1"); r.Reboot || len(r.Processes) != 1 {
		t.Errorf("%+v", r)
	}
	if err := os.Remove(w.path("usr/lib/libx.so.1")); err != nil {
		t.Fatal(err)
	}
	w.write("usr/bin/server", "new")
	w.write("usr/lib/libc.so.6", "new")
	r := w.expect(pid, "/usr/bin/server", "/usr/lib/libc.so.6", "/usr/lib/libx.so.1", "/usr/lib/libz.so.1")
	if !r.Reboot || len(r.Why) != 1 || !strings.Contains(r.Why[0], "an old C library") {
		t.Errorf("%+v", r)
	}
}

func TestExchangedTrees(t *testing.T) {
	w := newWorld(t)
	pid := w.holder()
	spare := ".ashlar/trees/spare/usr"
	for _, name := range []string{"bin/server", "lib/libc.so.6", "lib/libz.so.1"} { // libx is no longer there
		to := w.path(spare + "/" + name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Link(w.path("usr/"+name), to)); err != nil {
			t.Fatal(err)
		}
	}
	w.write(spare+"/lib/libz.so.1", "new")
	err := unix.Renameat2(unix.AT_FDCWD, w.path("usr"), unix.AT_FDCWD, w.path(spare), unix.RENAME_EXCHANGE)
	if err != nil {
		t.Fatal(err)
	}
	old := []string{"/usr/lib/libx.so.1", "/usr/lib/libz.so.1"}
	w.expect(pid, old...)
	// The next transaction brings the old tree up to date: what is shared is a new link.
	for _, name := range []string{"bin/server", "lib/libz.so.1"} {
		if err := errors.Join(os.Remove(w.path(spare+"/"+name)), os.Link(w.path("usr/"+name), w.path(spare+"/"+name))); err != nil {
			t.Fatal(err)
		}
	}
	w.expect(pid, old...)
	if fresh := w.start(nil, w.path("usr/bin/server"), w.path("usr/lib/libz.so.1")); fresh != 0 {
		w.expect(fresh)
	}
}

// TestMountsOfItsOwn is a service with a mount namespace, for which systemd has
// mounted /usr on itself: it keeps seeing the tree from before an exchange.
func TestMountsOfItsOwn(t *testing.T) {
	w := newWorld(t)
	if os.Getenv("RESTART_TEST_ROOT") != "" {
		w.root = os.Getenv("RESTART_TEST_ROOT")
		if err := unix.Mount(w.path("usr"), w.path("usr"), "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		os.Exit(hold([]string{w.path("usr/lib/libz.so.1"), w.path("usr/lib/libx.so.1")}))
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestMountsOfItsOwn$")
	cmd.Env = append(os.Environ(), "RESTART_TEST_ROOT="+w.root)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); cmd.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	r, err := Processes(w.root)
	if err != nil || len(r.Processes) != 0 {
		t.Fatalf("before: %+v %v", r, err)
	}
	spare := ".ashlar/trees/spare/usr"
	w.write(spare+"/lib/libz.so.1", "new")
	if err := os.Link(w.path("usr/lib/libx.so.1"), w.path(spare+"/lib/libx.so.1")); err != nil {
		t.Fatal(err)
	}
	err = unix.Renameat2(unix.AT_FDCWD, w.path("usr"), unix.AT_FDCWD, w.path(spare), unix.RENAME_EXCHANGE)
	if err != nil {
		t.Fatal(err)
	}
	r, err = Processes(w.root)
	if err != nil || len(r.Processes) != 1 || !slices.Equal(r.Processes[0].Files, []string{"/usr/lib/libz.so.1"}) {
		t.Errorf("after: %+v %v", r, err)
	}
}

func TestContainersAreNotLookedAt(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: chroot")
	}
	w, container := newWorld(t), newWorld(t)
	attr := &syscall.SysProcAttr{Chroot: container.root}
	pid := w.start(attr, "/usr/bin/server", "/usr/lib/libz.so.1")
	container.write("usr/lib/libz.so.1", "new")
	w.expect(pid)
	container.expect(pid, "/usr/lib/libz.so.1")
}

func TestWhatOthersRun(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a second user")
	}
	w := newWorld(t)
	w.holder()
	binary := w.path("usr/bin/server")
	for path := w.root; len(path) > len(os.TempDir()); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "-test.run", "^TestOfAnother$", "-test.v")
	cmd.Env = []string{"RESTART_TEST_UNSEEN=" + w.root}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestOfAnother is run by TestWhatOthersRun as an ordinary user.
func TestOfAnother(t *testing.T) {
	root := os.Getenv("RESTART_TEST_UNSEEN")
	if root == "" {
		return
	}
	r, err := Processes(root)
	if err != nil || r.Unseen == 0 || len(r.Processes) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestUnit(t *testing.T) {
	for cgroup, want := range map[string]string{
		"0::/system.slice/nginx.service\n":                                          "nginx.service",
		"0::/system.slice/docker.service/payload\n":                                 "docker.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/foot.service\n": "foot.service",
		"0::/user.slice/user-1000.slice/session-3.scope\n":                          "session-3.scope",
		"12:cpu:/x.service\n1:name=systemd:/system.slice/sshd.service\n0::/\n":      "sshd.service",
		"0::/\n": "",
		"":       "",
	} {
		if got := unit(cgroup); got != want {
			t.Errorf("%q: got %q, want %q", cgroup, got, want)
		}
	}
}

func TestKernel(t *testing.T) {
	for _, c := range []struct {
		running, installed, want string
	}{
		{"6.1.170-ashlar-virt-1", "6.1.170-ashlar-virt-1", "[]"},
		{"6.1.170-ashlar-virt-1", "6.1.9-ashlar-virt-3 6.1.170-ashlar-virt-1", "[]"},
		{"6.1.9-ashlar-virt-3", "6.1.9-ashlar-virt-3 6.1.170-ashlar-virt-1", "[kernel 6.1.9-ashlar-virt-3 runs, 6.1.170-ashlar-virt-1 is installed]"},
		{"6.1.9-ashlar-virt-3", "6.1.9-ashlar-virt-10", "[kernel 6.1.9-ashlar-virt-3 runs, 6.1.9-ashlar-virt-10 is installed]"},
		{"6.1.9-ashlar-virt-3", "6.1.170-ashlar-server-1", "[]"},
		{"6.8.0-generic", "6.1.170-ashlar-virt-1", "[]"},
		{"6.1.9-ashlar-virt-3", "", "[]"},
	} {
		if got := fmt.Sprint(kernelReasons(c.running, strings.Fields(c.installed))); got != c.want {
			t.Errorf("%s with %s: got %s, want %s", c.running, c.installed, got, c.want)
		}
	}
	dir := t.TempDir()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	running := unix.ByteSliceToString(name.Release[:])
	newer := "99" + running
	for _, release := range []string{newer, "100" + running} { // the second one has no kernel in it
		if err := os.Mkdir(filepath.Join(dir, release), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, newer, "vmlinuz"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := newerKernel(dir); err != nil || len(got) != 1 || !strings.Contains(got[0], newer+" is installed") {
		t.Error(got, err)
	}
}

func BenchmarkProcesses(b *testing.B) {
	for b.Loop() {
		if _, err := Processes("/"); err != nil {
			b.Fatal(err)
		}
	}
}
