package boot

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shellVM is a VM whose serial console is a shell of this machine on a
// terminal: what Run types meets a real line editor and a real echo.
func shellVM(t *testing.T, shell ...string) *VM {
	t.Helper()
	if _, err := exec.LookPath(shell[0]); err != nil {
		t.Fatalf("%s is not installed; pkgtool/bootstrap.sh test installs it", shell[0])
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shell[0], shell[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TERM=vt220", "PS1=# "}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	ours, theirs := net.Pipe()
	go func() { // guest to harness
		buffer := make([]byte, 1000)
		for {
			n, err := master.Read(buffer)
			if err != nil {
				theirs.Close()
				return
			}
			theirs.Write(buffer[:n])
		}
	}()
	go func() { // harness to guest
		buffer := make([]byte, 1000)
		for {
			n, err := theirs.Read(buffer)
			if err != nil {
				return
			}
			master.Write(buffer[:n])
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	vm := &VM{serial: ours, changed: make(chan struct{}), exited: make(chan struct{}), done: ctx.Done(), cancel: cancel,
		cause: func() error { return context.Cause(ctx) }, options: Options{Idle: 10 * time.Second, Artifacts: t.TempDir()}}
	vm.screen = &cleaner{emit: vm.line}
	go vm.read()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		ours.Close()
		master.Close()
		cancel()
	})
	return vm
}

func TestRun(t *testing.T) {
	for _, shell := range [][]string{{"bash", "--norc", "-i"}, {"dash", "-i"}, {"busybox", "sh", "-i"}} {
		t.Run(shell[0], func(t *testing.T) {
			vm := shellVM(t, shell...)
			long := strings.Repeat("long ", 100)
			cases := []struct {
				command, output string
				code            int
			}{
				{"echo hello", "hello", 0},
				{"exit_with() { return $1; }; exit_with 3", "", 3},
				{"echo one; echo; echo two", "one\n\ntwo", 0},
				{"printf 'no end'", "no end", 0},
				{`echo "it's" '$HOME' \\`, `it's $HOME \`, 0},
				{"echo " + long, strings.TrimSpace(long), 0},
				{"echo ashlar-end-7 0", "ashlar-end-7 0", 0},
				{"seq 2000 | tail -n 1", "2000", 0},
				{"no-such-command 2>/dev/null", "", 127},
			}
			if shell[0] != "dash" {
				cases = append(cases, struct {
					command, output string
					code            int
				}{"for i in 1 2\ndo\n\techo $i\ndone", "1\n2", 0})
			}
			for _, c := range cases {
				output, code, err := vm.Run(t.Context(), c.command)
				if err != nil {
					t.Fatal(err)
				}
				if output != c.output || code != c.code {
					t.Errorf("%q printed %q and ended with %d", c.command, output, code)
				}
			}
		})
	}
}

func TestRunRefusesALineThatATerminalCuts(t *testing.T) {
	vm := shellVM(t, "bash", "--norc", "-i")
	if _, _, err := vm.Run(t.Context(), strings.Repeat("x", 5000)); err == nil {
		t.Error("no error")
	}
}
