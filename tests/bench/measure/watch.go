package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// watcherArg makes of a call of this program a watcher. The kernel counts what
// the parent held when it started a program as the program's own memory, so
// programs are started by a process that holds next to nothing.
const watcherArg = "measure-one-program"

// job is what a watcher is told, as JSON in its first argument.
type job struct {
	Args  []string
	Flush string // folder
}

// outcome is what a watcher tells on file descriptor 3.
type outcome struct {
	Total, Flush, CPU float64
	Memory            int64
	Exit              int    // of the program
	Problem           string // why there is nothing to tell
}

// Watcher carries out a watcher's call and ends the process; in any other call
// it does nothing. main calls it before anything else.
func Watcher() {
	if len(os.Args) != 3 || os.Args[1] != watcherArg {
		return
	}
	var j job
	var o outcome
	if err := json.Unmarshal([]byte(os.Args[2]), &j); err != nil {
		o.Problem = err.Error()
	} else if o, err = j.run(); err != nil {
		o.Problem = err.Error()
	}
	json.NewEncoder(os.NewFile(3, "outcome")).Encode(o)
	os.Exit(0)
}

func (j *job) run() (o outcome, err error) {
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	start := time.Now()
	err = cmd.Run()
	ended := time.Now()
	if j.Flush != "" {
		if err := flush(j.Flush); err != nil {
			return o, err
		}
	}
	flushed := time.Now()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return o, err
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return outcome{
		Total:  flushed.Sub(start).Seconds(),
		Flush:  flushed.Sub(ended).Seconds(),
		CPU:    (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
		Memory: usage.Maxrss * 1024,
		Exit:   cmd.ProcessState.ExitCode(),
	}, nil
}

// watch runs a case's program once under a watcher.
func watch(ctx context.Context, c Case) (run, []byte, error) {
	self, err := os.Executable()
	if err != nil {
		return run{}, nil, err
	}
	told, err := json.Marshal(job{c.Args, c.Flush})
	if err != nil {
		return run{}, nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return run{}, nil, err
	}
	defer read.Close()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self, watcherArg, string(told))
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &stdout, &stderr, []*os.File{write}
	// What it started ends with it when the benchmark is interrupted.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	err = cmd.Run()
	write.Close()
	if err != nil {
		return run{}, nil, err
	}
	var o outcome
	if err := json.NewDecoder(read).Decode(&o); err != nil {
		return run{}, nil, fmt.Errorf("the watcher said nothing: %w", err)
	}
	switch {
	case o.Problem != "":
		return run{}, nil, errors.New(o.Problem)
	case o.Exit != 0 && !slices.Contains(c.Exit, o.Exit):
		return run{}, nil, fmt.Errorf("%s ended with %d: %s", c.Args[0], o.Exit, end(stderr.String(), stdout.String()))
	}
	return run{o.Total, o.Flush, o.CPU, o.Memory}, stdout.Bytes(), nil
}

// end is the end of the first text that is not empty.
func end(texts ...string) string {
	for _, t := range texts {
		if t = strings.TrimSpace(t); t != "" {
			return t[max(0, len(t)-300):]
		}
	}
	return "it said nothing"
}
