package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is three things: the tests, pid 1 of the sandboxes they make,
// and the only program inside them.
func TestMain(m *testing.M) {
	MaybeInit()
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		os.Exit(probe(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

// probe runs inside the sandbox.
func probe(what string, args []string) int {
	switch what {
	case "facts":
		json.NewEncoder(os.Stdout).Encode(gather())
	case "exit":
		fmt.Println("leaving")
		return 3
	case "signal":
		unix.Kill(os.Getpid(), unix.SIGKILL)
		time.Sleep(time.Minute)
	case "sleep":
		time.Sleep(time.Minute)
	case "flood":
		for {
			fmt.Println(strings.Repeat("x", 1000))
		}
	case "write":
		for _, name := range args {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				fmt.Println(err)
				return 1
			}
			if err := os.WriteFile(name, []byte("built"), 0o644); err != nil {
				fmt.Println(err)
				return 1
			}
		}
	case "lock-up":
		for _, dir := range []string{"/build/a", "/build/a/b", "/usr/share/x"} {
			os.MkdirAll(dir, 0o755)
			os.WriteFile(dir+"/file", nil, 0)
			os.Chmod(dir, 0)
		}
		unix.Mkfifo("/build/fifo", 0)
	case "hoard":
		var all [][]byte
		for {
			block := bytes.Repeat([]byte{1}, 8<<20)
			all = append(all, block)
			time.Sleep(5 * time.Millisecond)
			if len(all) > 1000 {
				return 9
			}
		}
	case "crowd":
		for range 2000 {
			if err := exec.Command("/bin/probe", "probe", "sleep").Start(); err != nil {
				time.Sleep(time.Minute)
			}
		}
		return 9
	case "fill":
		for i := range 1000 {
			if err := os.WriteFile(fmt.Sprintf("%s/%d", args[0], i), make([]byte, 4<<20), 0o644); err != nil {
				fmt.Println(err)
				return 1
			}
			time.Sleep(5 * time.Millisecond)
		}
		return 9
	case "daemon":
		// A process that stays behind, in a session of its own.
		cmd := exec.Command("/bin/probe", "probe", "sleep")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

// facts are what a build can find out about where it runs.
type facts struct {
	UID, Pid     int
	Env          []string
	Hostname     string
	Umask        int
	Root, Dev    []string
	Pids         []string
	Descriptors  []string
	Interfaces   []string
	Loopback     bool
	Chown        string
	ChownedTo    uint32
	Denied       map[string]string
	Sysctl       string
	NoNewPrivs   bool
	Capabilities string
	Nofile       uint64
	Mounts       string
}

func gather() facts {
	f := facts{UID: os.Getuid(), Pid: os.Getpid(), Env: os.Environ(), Denied: map[string]string{}}
	f.Hostname, _ = os.Hostname()
	f.Umask = unix.Umask(0)
	list := func(dir string) []string {
		var names []string
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	f.Root, f.Dev = list("/"), list("/dev")
	for _, name := range list("/proc") {
		if strings.Trim(name, "0123456789") == "" {
			f.Pids = append(f.Pids, name)
		}
	}
	for _, fd := range list("/proc/self/fd") {
		if to, err := os.Readlink("/proc/self/fd/" + fd); err == nil && !strings.HasPrefix(to, "anon_inode") && to != "/proc/self/fd" {
			f.Descriptors = append(f.Descriptors, fd)
		}
	}
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		f.Interfaces = append(f.Interfaces, i.Name)
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		go l.Accept()
		c, err := net.Dial("tcp", l.Addr().String())
		f.Loopback = err == nil && c != nil
	}
	os.WriteFile("/tmp/owned", nil, 0o644)
	f.Chown = fmt.Sprint(os.Chown("/tmp/owned", 33, 33))
	var st unix.Stat_t
	unix.Stat("/tmp/owned", &st)
	f.ChownedTo = st.Uid
	deny := func(name string, err error) { f.Denied[name] = fmt.Sprint(err) }
	_, err := os.ReadFile("/etc/shadow")
	deny("shadow", err)
	_, err = net.DialTimeout("tcp", "192.0.2.1:80", time.Second)
	deny("network", err)
	_, err = net.Dial("unix", os.Getenv("CANARY"))
	deny("abstract socket", err)
	deny("mount", unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""))
	deny("umount", unix.Unmount("/proc", unix.MNT_DETACH))
	deny("unshare", unix.Unshare(unix.CLONE_NEWUSER))
	deny("mknod", unix.Mknod("/tmp/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	deny("sysctl", os.WriteFile("/proc/sys/kernel/core_pattern", []byte("x"), 0))
	deny("sysrq", os.WriteFile("/proc/sysrq-trigger", nil, 0))
	deny("source", os.WriteFile("/sources/new", nil, 0o644))
	_, err = os.Readlink("/proc/1/exe")
	deny("pid 1", err)
	_, err = unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_SESSION_KEYRING, 0, 0, 0)
	deny("keyctl", err)
	_, err = unix.PerfEventOpen(&unix.PerfEventAttr{}, 0, -1, -1, 0)
	deny("perf", err)
	deny("sethostname", unix.Sethostname([]byte("x")))
	deny("settime", unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{}))
	cmd := exec.Command("/bin/probe", "probe", "none")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	deny("clone", cmd.Run())
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if v, ok := strings.CutPrefix(line, "CapBnd:\t"); ok {
			f.Capabilities = v
		}
		if v, ok := strings.CutPrefix(line, "NoNewPrivs:\t"); ok {
			f.NoNewPrivs = v == "1"
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	f.Mounts = string(mounts)
	return f
}

// fixture is a root whose only program is the probe, in several layers.
type fixture struct {
	spec          Spec
	log           *bytes.Buffer
	build, source string
}

func newFixture(t testing.TB) *fixture {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mkdir := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	out, err := os.OpenFile(filepath.Join(mkdir("low/bin"), "probe"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, self); err != nil {
		t.Fatal(err)
	}
	out.Close()
	mkdir("low/usr/share")
	f := &fixture{log: &bytes.Buffer{}, build: mkdir("build"), source: mkdir("source")}
	f.spec = Spec{
		Lower: []string{mkdir("top"), mkdir("low")}, Scratch: mkdir("scratch"),
		Binds: []Bind{{f.build, "/build", true}, {f.source, "/sources", false}},
		Env:   []string{"PATH=/bin"}, Log: f.log,
	}
	return f
}

func (f *fixture) run(t testing.TB, args ...string) error {
	t.Helper()
	f.spec.Commands = []Command{{Name: "step", Argv: append([]string{"probe", "probe"}, args...)}}
	return Run(t.Context(), f.spec)
}

func TestNothingOfTheHostIsThere(t *testing.T) {
	canary, err := net.Listen("unix", "@ashlar-sandbox-test")
	if err != nil {
		t.Fatal(err)
	}
	defer canary.Close()
	leak, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	if _, err := unix.FcntlInt(leak.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET_TOKEN", "x")
	f := newFixture(t)
	f.spec.Env = append(f.spec.Env, "CANARY=@ashlar-sandbox-test")
	if err := f.run(t, "facts"); err != nil {
		t.Fatalf("%v\n%s", err, f.log)
	}
	var got facts
	_, text, _ := strings.Cut(f.log.String(), "\n")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v\n%s", err, f.log)
	}
	check := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	check("uid", got.UID, 0)
	check("environment", got.Env, []string{"PATH=/bin", "CANARY=@ashlar-sandbox-test"})
	check("host name", got.Hostname, "builder")
	check("umask", got.Umask, 0o022)
	check("root", got.Root, []string{"bin", "build", "dev", "proc", "sources", "tmp", "usr"})
	check("devices", got.Dev, []string{"fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"})
	check("descriptors", got.Descriptors, []string{"0", "1", "2"})
	check("interfaces", got.Interfaces, []string{"lo"})
	check("loopback", got.Loopback, true)
	check("chown", got.Chown, "<nil>")
	check("owner after chown", got.ChownedTo, 0)
	check("no new privileges", got.NoNewPrivs, true)
	check("capabilities", got.Capabilities, fmt.Sprintf("%016x", keptMask()))
	if len(got.Pids) != 2 || got.Pids[0] != "1" {
		t.Errorf("processes: %v", got.Pids)
	}
	for what, err := range got.Denied {
		if err == "<nil>" {
			t.Errorf("%s was possible", what)
		}
	}
	if strings.Contains(got.Mounts, "lowerdir=/") {
		t.Errorf("mount options name folders of the host:\n%s", got.Mounts)
	}
	left, err := os.ReadDir(f.spec.Scratch)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func keptMask() (mask uint64) {
	for _, c := range kept {
		mask |= 1 << c
	}
	return mask
}

// TestAsOrdinaryUser runs the tests of this file again without privilege.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		return // they already run so
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "test")
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	const uid = 54321
	for path := dir; len(path) > len(os.TempDir()); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(tmp, uid, uid); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.v", "-test.skip", "OrdinaryUser")
	cmd.Dir = tmp
	cmd.Env = []string{"TMPDIR=" + tmp, "HOME=" + tmp}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestWhatIsWritten(t *testing.T) {
	f := newFixture(t)
	if err := f.run(t, "write", "/build/out", "/usr/share/thrown-away", "/bin/other"); err != nil {
		t.Fatalf("%v\n%s", err, f.log)
	}
	if got, err := os.ReadFile(f.build + "/out"); err != nil || string(got) != "built" {
		t.Errorf("the build folder: %q %v", got, err)
	}
	for _, lower := range f.spec.Lower {
		for _, name := range []string{"usr/share/thrown-away", "bin/other", "build", "dev"} {
			if _, err := os.Lstat(filepath.Join(lower, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s was written to a layer: %v", name, err)
			}
		}
	}
	if err := f.run(t, "write", "/sources/x"); err == nil {
		t.Error("a read-only folder was written to")
	}
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		probe  string
		limits Limits
		want   string
	}{
		{"exit", Limits{}, "step failed with exit status 3"},
		{"signal", Limits{}, "step was ended by SIGKILL"},
		{"sleep", Limits{Wall: 300 * time.Millisecond}, "stopped: it ran longer than 300ms"},
		{"sleep", Limits{Silence: 300 * time.Millisecond}, "stopped: it printed and wrote nothing for 300ms"},
		{"flood", Limits{Log: 100_000}, "stopped: it printed more than 100000 bytes"},
		{"hoard", Limits{Memory: 200 << 20}, "stopped: its processes took more than 200MiB of memory together"},
		{"crowd", Limits{Processes: 100}, "stopped: it ran more than 100 processes and threads at one time"},
		{"fill /build", Limits{Disk: 64 << 20}, "stopped: it wrote more than 64MiB to the disk"},
		{"fill /usr", Limits{Disk: 64 << 20}, "stopped: it wrote more than 64MiB to the disk"},
		{"daemon", Limits{}, ""},
		{"lock-up", Limits{}, ""},
	} {
		f := newFixture(t)
		f.spec.Limits = c.limits
		start := time.Now()
		err := f.run(t, strings.Fields(c.probe)...)
		if fmt.Sprint(err) != c.want && !(err == nil && c.want == "") {
			t.Errorf("%s: got %v, want %q\n%.2000s", c.probe, err, c.want, f.log)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s took %v", c.probe, took)
		}
		if left, _ := os.ReadDir(f.spec.Scratch); len(left) != 0 {
			t.Errorf("%s left behind %v", c.probe, left)
		}
		if err := RemoveTree(f.build); err != nil {
			t.Errorf("%s: %v", c.probe, err)
		}
	}
}

func TestCancel(t *testing.T) {
	f := newFixture(t)
	f.spec.Commands = []Command{{Name: "step", Argv: []string{"probe", "probe", "sleep"}}}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := Run(ctx, f.spec); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestManyLayersAndMissingProgram(t *testing.T) {
	f := newFixture(t)
	for i := range 300 {
		dir := filepath.Join(t.TempDir(), strings.Repeat("long", 20), fmt.Sprint(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		f.spec.Lower = append([]string{dir}, f.spec.Lower...)
	}
	if err := f.run(t, "none"); err != nil {
		t.Fatalf("%v\n%s", err, f.log)
	}
	f.spec.Commands = []Command{{Name: "step", Argv: []string{"gcc"}}}
	err := Run(t.Context(), f.spec)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 127 || !strings.Contains(f.log.String(), "gcc is not in PATH") {
		t.Fatalf("%v\n%s", err, f.log)
	}
}

// TestEveryLengthOfOrder: where the order ends in a read's buffer must not matter.
func TestEveryLengthOfOrder(t *testing.T) {
	f := newFixture(t)
	f.spec.Commands = []Command{{Name: "step", Argv: []string{"probe", "probe", "none"}}}
	f.spec.Env = []string{"PATH=/bin", "PAD="}
	text, err := json.Marshal(order{Dir: filepath.Join(f.spec.Scratch, "root-1234567890"), Layers: len(f.spec.Lower), Binds: f.spec.Binds,
		Commands: f.spec.Commands, Env: f.spec.Env, Limits: Limits{}.orDefault()})
	if err != nil {
		t.Fatal(err)
	}
	const buffer = 3584                                     // of encoding/json's decoder, the third one
	for length := buffer - 6; length < buffer+6; length++ { // the folder's name is not always as long
		f.spec.Env[1] = "PAD=" + strings.Repeat("x", length-len(text))
		if err := Run(t.Context(), f.spec); err != nil {
			t.Fatalf("about %d bytes: %v\n%s", length, err, f.log)
		}
	}
}

func TestLinksInTheRootLeadNowhere(t *testing.T) {
	f := newFixture(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(f.spec.Lower[0], "dev")); err != nil {
		t.Fatal(err)
	}
	err := f.run(t, "none")
	if err == nil || !strings.Contains(err.Error(), "/dev in the build root is not a folder") {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Fatal(left)
	}
}

// TestCallerDies: nothing runs on when the program that called Run is killed.
func TestCallerDies(t *testing.T) {
	if dir := os.Getenv("SANDBOX_TEST_CALLER"); dir != "" {
		f := newFixture(t)
		f.spec.Commands = []Command{{Name: "step", Argv: []string{"probe", "probe", "sleep"}}}
		f.spec.Log = os.Stdout
		Run(context.Background(), f.spec)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "TestCallerDies")
	cmd.Env = append(os.Environ(), "SANDBOX_TEST_CALLER=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := out.Read(buf); err != nil || !strings.Contains(string(buf[:n]), "==> step") {
		t.Fatalf("%v %s", err, buf)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pids := strings.Fields(string(children))
	for task := range slices.Values(mustGlob(t, fmt.Sprintf("/proc/%d/task/*/children", cmd.Process.Pid))) {
		more, _ := os.ReadFile(task)
		pids = append(pids, strings.Fields(string(more))...)
	}
	if len(pids) == 0 {
		t.Fatal("the sandbox has no process")
	}
	cmd.Process.Kill()
	cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		gone := true
		for _, pid := range pids {
			state, err := os.ReadFile("/proc/" + pid + "/stat")
			if err == nil && !bytes.Contains(state, []byte(") Z ")) {
				gone = false
			}
		}
		if gone {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still running: %v", pids)
		}
	}
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func BenchmarkStart(b *testing.B) {
	f := newFixture(b)
	for b.Loop() {
		if err := f.run(b, "none"); err != nil {
			b.Fatal(err)
		}
	}
}

// Commands that write are alive, also if they print nothing.
func TestWritingIsNoSilence(t *testing.T) {
	folder := t.TempDir()
	alive := 0
	m := &meter{limits: Limits{Disk: 1 << 30}, folders: []string{folder}, alive: func() { alive++ }}
	count := func() {
		t.Helper()
		m.nextDisk, m.anyway = time.Time{}, time.Time{}
		if err := m.checkDisk(); err != nil {
			t.Fatal(err)
		}
	}
	count()
	alive = 0
	count()
	if alive != 0 {
		t.Error("nothing was written, and that counts as a sign of life")
	}
	if err := os.WriteFile(filepath.Join(folder, "object"), make([]byte, 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	count()
	if alive != 1 {
		t.Errorf("a file was written: %d signs of life", alive)
	}
}
