package recipes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// interrupted is exit code and last words of a build that Ctrl-C ended.
const interrupted = 130

// TestCtrlC presses Ctrl-C on a terminal while one recipe is being built: the
// build ends at once, leaves no process and no folder behind, and the next run
// goes on at the step that was interrupted.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	if err := provideSeed(mkdir(t, work, "recipes"), filepath.Join(work, "cache")); err != nil {
		t.Fatal(err)
	}
	// A number that no other process of this machine sleeps.
	mark := fmt.Sprintf("%d.%d", 3000+os.Getpid()%1000, time.Now().UnixNano())
	put(t, filepath.Join(work, "recipes/before/recipe.yaml"), twoSteps("before", "[]", "true", "true"))
	put(t, filepath.Join(work, "recipes/long/recipe.yaml"), twoSteps("long", "[before]", "echo one >>notes", "sleep "+mark))

	cmd := exec.Command(program, "build", "--recipes", "recipes", "--out", "out", "--trace", "trace.json")
	cmd.Dir, cmd.Env = work, environment(work)
	screen := onTerminal(t, cmd)
	screen.wait(t, func(string) bool { return len(sleeping(t, mark)) > 0 })
	start := time.Now()
	screen.typed(t, "\x03")
	err := cmd.Wait()
	if code := exitCode(t, err); code != interrupted {
		t.Errorf("exit code %d, not %d", code, interrupted)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v to end", took)
	}
	text := screen.end()
	for _, want := range []string{"before in", "stopping", "stopped    long", "interrupted; what was finished is kept", "--resume"} {
		if !strings.Contains(text, want) {
			t.Errorf("the screen lacks %q:\n%s", want, text)
		}
	}
	for _, never := range []string{"failed     long", "sandbox ended", "goroutine"} {
		if strings.Contains(text, never) {
			t.Errorf("the screen has %q:\n%s", never, text)
		}
	}
	if left := sleeping(t, mark); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if entries, err := os.ReadDir(filepath.Join(work, "cache/build/work")); err != nil || len(entries) > 0 {
		t.Errorf("folders left: %v %v", entries, err)
	}
	var trace struct {
		TraceEvents []struct {
			Name string
			Args map[string]any
		}
	}
	data, err := os.ReadFile(filepath.Join(work, "trace.json"))
	if err := errors.Join(err, json.Unmarshal(data, &trace)); err != nil {
		t.Errorf("the trace: %v", err)
	}
	ends := map[string]any{}
	for _, ev := range trace.TraceEvents {
		if ev.Args["end"] != nil {
			ends[ev.Name] = ev.Args["end"]
		}
	}
	if ends["before"] != "built" || ends["long"] != "stopped" {
		t.Errorf("in the trace the builds ended so: %v", ends)
	}

	put(t, filepath.Join(work, "recipes/long/recipe.yaml"), twoSteps("long", "[before]", "echo one >>notes", "cp notes $DESTDIR/usr/share/long/notes"))
	cmd = exec.Command(program, "build", "--resume", "--verbose", "--recipes", "recipes", "--out", "out")
	cmd.Dir, cmd.Env = work, environment(work)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"cached     before", "resumed    long"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the second run lacks %q:\n%s", want, out)
		}
	}
}

// TestTerminated ends a build as a service manager would, with output that is
// no terminal.
func TestTerminated(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	if err := provideSeed(mkdir(t, work, "recipes"), filepath.Join(work, "cache")); err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprintf("%d.%d", 4000+os.Getpid()%1000, time.Now().UnixNano())
	put(t, filepath.Join(work, "recipes/long/recipe.yaml"), twoSteps("long", "[]", "true", "sleep "+mark))
	var stderr bytes.Buffer
	cmd := exec.Command(program, "build", "--json", "--recipes", "recipes", "--out", "out")
	cmd.Dir, cmd.Env, cmd.Stderr = work, environment(work), &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, func() bool { return len(sleeping(t, mark)) > 0 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, cmd.Wait()); code != interrupted {
		t.Errorf("exit code %d, not %d", code, interrupted)
	}
	var answer struct{ Code int }
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &answer); err != nil || answer.Code != interrupted {
		t.Errorf("the error as JSON: %v\n%s", err, stderr.String())
	}
	if left := sleeping(t, mark); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func mkdir(t *testing.T, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// twoSteps is a recipe that installs one file, and runs two commands before.
func twoSteps(name, libs, first, second string) []byte {
	return fmt.Appendf(nil, `schema: 1
name: %[1]s
version: "1.0.0"
release: 1
date: 2026-01-01
summary: Example
license: MIT
build: {libs: %[2]s, strip: false}
phases:
  build:
    - run: %[3]s
  install:
    - run: mkdir -p $DESTDIR/usr/share/%[1]s; echo %[1]s >$DESTDIR/usr/share/%[1]s/name
    - run: %[4]s
packages:
  - {name: %[1]s, arch: noarch, files: [/usr/share/**]}
`, name, libs, first, second)
}

// environment is that of a user who has nothing on this machine.
func environment(work string) []string {
	return []string{
		"HOME=" + work + "/home", "XDG_CONFIG_HOME=" + work + "/home/config", "XDG_CACHE_HOME=" + work + "/home/cache", "PATH=/usr/bin:/bin",
		"ASHLAR_CACHE=" + work + "/cache", "ASHLAR_KEYS=" + work + "/keys", "NO_COLOR=1", "TERM=xterm", "TZ=UTC", "LC_ALL=C.UTF-8", "GOPROXY=off",
	}
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return 0
}

// sleeping lists the processes of this machine that sleep as long as mark says.
func sleeping(t *testing.T, mark string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range all {
		// A process may have ended meanwhile.
		if text, _ := os.ReadFile(name); bytes.HasSuffix(text, []byte("sleep\x00"+mark+"\x00")) {
			found = append(found, filepath.Base(filepath.Dir(name)))
		}
	}
	return found
}

func within(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(slowest); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

// terminal is a person's screen and keyboard.
type terminal struct {
	file *os.File
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// onTerminal starts a program on a terminal of its own.
func onTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	screen := &terminal{file: master, done: make(chan struct{})}
	go func() {
		defer close(screen.done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			screen.mu.Lock()
			screen.text.Write(buf[:n])
			screen.mu.Unlock()
			if err != nil { // nobody has the terminal open any more
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		master.Close()
	})
	return screen
}

func (s *terminal) wait(t *testing.T, done func(text string) bool) {
	t.Helper()
	within(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return done(s.text.String())
	})
}

func (s *terminal) typed(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.file.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// end is all that was written, once the program has ended.
func (s *terminal) end() string {
	<-s.done
	return s.text.String()
}
