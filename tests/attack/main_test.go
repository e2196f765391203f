package attack

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// program is the pkgtool under test, scratch the folder that everything is in.
var program, scratch string

// maxFile bounds, in bytes, each file that pkgtool may write: a process that
// exceeds it is killed. The largest honest file here has less than 1 MiB.
const maxFile = 32 << 20

func TestMain(m *testing.M) {
	if os.Getenv(launching) != "" {
		launch()
	}
	flag.Parse()
	// Most cases wait for something slow rather than compute.
	flag.Set("test.parallel", strconv.Itoa(12))
	os.Exit(run(m))
}

// launching is the variable that makes this program the launcher.
const launching = "ATTACK_LAUNCH"

// launch runs pkgtool in the place of this process and writes how much memory it
// took, in KiB, to file 3. The kernel counts to a process what the one had that
// started it, and the tests themselves take a lot.
func launch() {
	runtime.LockOSThread() // the signal comes when the thread ends
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Run()
	if cmd.ProcessState == nil {
		os.Exit(99)
	}
	fmt.Fprint(os.NewFile(3, "report"), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	os.Exit(cmd.ProcessState.ExitCode())
}

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("/dev/shm", "ashlar-attack-"); err != nil {
		if scratch, err = os.MkdirTemp("", "ashlar-attack-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	defer os.RemoveAll(scratch)
	program = filepath.Join(scratch, "pkgtool")
	build := exec.Command("go", "build", "-o", program, "ashlar/pkgtool")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build pkgtool: %v\n%s", err, out)
		return 1
	}
	limit := syscall.Rlimit{Cur: maxFile, Max: maxFile}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
