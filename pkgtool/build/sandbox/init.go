package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaybeInit takes over the process when it was started by [Run] as pid 1 of a
// sandbox, and then never returns. Call it first thing in main, and in
// TestMain of tests that use Run.
func MaybeInit() {
	if len(os.Args) == 2 && os.Args[1] == initArgument && os.Getpid() == 1 {
		os.Exit(initMain())
	}
}

func initMain() int {
	// Descriptors that the caller inherited stay out of the sandbox.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox: close descriptors:", err)
		return 1
	}
	in, out := os.NewFile(3, "order"), os.NewFile(4, "outcome")
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox: read the order:", err)
		return 1
	}
	go func() {
		// Returns when the caller is gone. The order's newline may still come.
		io.Copy(io.Discard, in)
		os.Exit(1)
	}()
	answers := json.NewEncoder(out)
	// The caller may be gone; then its end of the order ends this process.
	o.started = func(n int) { _ = answers.Encode(outcome{Started: n}) }
	result := setUp(o)
	if result.Setup == "" {
		result = runCommands(o)
	}
	if err := answers.Encode(result); err != nil {
		return 1
	}
	return 0
}

// setUp builds the root and gives up every power it needed for that.
func setUp(o order) outcome {
	for _, step := range []struct {
		name string
		do   func(order) error
	}{
		{"mount the build root", mountRoot},
		{"name the machine", nameMachine},
		{"bring up the loopback network", loopbackUp},
		{"set limits", setLimits},
		{"fix addresses", fixAddresses},
		{"give up privileges", dropPrivileges},
		{"filter system calls", filterSystemCalls},
	} {
		if err := step.do(o); err != nil {
			r := outcome{Setup: fmt.Sprintf("%s: %v", step.name, err)}
			var errno syscall.Errno
			if errors.As(err, &errno) {
				r.Errno = int(errno)
			}
			return r
		}
	}
	return outcome{}
}

// runCommands runs the commands in order until one fails.
func runCommands(o order) outcome {
	for i, c := range o.Commands {
		if o.started != nil {
			o.started(i + 1)
		}
		if !o.Terminal && c.Name != "" {
			fmt.Printf("==> %s\n", c.Name)
		}
		status, err := execute(c, o)
		// What a command left running ends with it.
		unix.Kill(-1, unix.SIGKILL)
		reap(0)
		name := c.Name
		if name == "" {
			name = strings.Join(c.Argv, " ")
		}
		switch {
		case err != nil:
			fmt.Printf("cannot start %s: %v\n", c.Argv[0], err)
			return outcome{Command: name, Code: 127}
		case status.Signaled():
			return outcome{Command: name, Code: -1, Signal: unix.SignalName(status.Signal())}
		case status.ExitStatus() != 0:
			return outcome{Command: name, Code: status.ExitStatus()}
		}
	}
	return outcome{Done: true}
}

// execute starts a command and waits for it, taking the exit status of every
// orphan on the way, as pid 1 must.
func execute(c Command, o order) (syscall.WaitStatus, error) {
	env := mergeEnv(o.Env, c.Env)
	program, err := lookPath(c.Argv[0], env)
	if err != nil {
		return 0, err
	}
	dir := c.Dir
	if dir == "" {
		dir = "/"
	}
	attr := &syscall.ProcAttr{Dir: dir, Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}}
	if !o.Terminal {
		null, err := os.Open("/dev/null")
		if err != nil {
			return 0, err
		}
		defer null.Close()
		attr.Files[0] = null.Fd()
		attr.Sys.Setsid = true
	}
	pid, err := syscall.ForkExec(program, c.Argv, attr)
	if err != nil {
		return 0, err
	}
	return reap(pid), nil
}

// reap waits until pid ends, or with pid 0 until there is no child left.
func reap(pid int) syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return status
		case got == pid:
			return status
		}
	}
}

func mergeEnv(base, more []string) []string {
	place := map[string]int{}
	var env []string
	for _, list := range [][]string{base, more} {
		for _, entry := range list {
			name, _, _ := strings.Cut(entry, "=")
			if i, ok := place[name]; ok {
				env[i] = entry
				continue
			}
			place[name] = len(env)
			env = append(env, entry)
		}
	}
	return env
}

func lookPath(program string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	for _, entry := range env {
		path, ok := strings.CutPrefix(entry, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range strings.Split(path, ":") {
			if candidate := dir + "/" + program; dir != "" && unix.Access(candidate, unix.X_OK) == nil {
				return candidate, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not in PATH; name what brings it under build.tools", program)
}
