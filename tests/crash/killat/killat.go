// Package killat runs a program until it is about to make, or has just made,
// its N-th system call that changes something on disk, and kills it there with
// SIGKILL, or lets that call fail: all threads and children of it count together.
//
// It traces with ptrace(2), in a process of its own (Main), so that the waiting
// for any child disturbs nobody else.
package killat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Run says what to run and where to kill it.
type Run struct {
	Argv []string // program and arguments; the program is a path
	At   int      // the call at which to kill, counted from 1; 0 kills nowhere
	Exit bool     // kill when the call has been made, not before

	// Fail lets the call fail with this error, without making it, instead of
	// killing the program. Forever lets all later ones of that name fail too.
	Fail    syscall.Errno
	Forever bool
}

// Result is what became of the program.
type Result struct {
	Calls  int    `json:"calls"`  // that change something, made so far
	Killed string `json:"killed"` // the call at which it was killed; "" if it was not
	Failed string `json:"failed"` // the call that was made to fail
	Code   int    `json:"code"`   // its exit code otherwise
	Output string `json:"output"`
}

const envRun = "ASHLAR_KILLAT_RUN"

// Start carries out a run in a tracer, which is this program again: its main
// function must call Main first.
func Start(ctx context.Context, run Run) (*Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(run)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), envRun+"="+string(spec))
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("trace %q: %w\n%s", run.Argv, err, stderr.Bytes())
	}
	r := &Result{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		return nil, fmt.Errorf("trace %q: %w\n%s", run.Argv, err, out.Bytes())
	}
	return r, nil
}

// Main is the tracer's main function; it does not return in a tracer.
func Main() {
	spec, ok := os.LookupEnv(envRun)
	if !ok {
		return
	}
	os.Unsetenv(envRun)
	var run Run
	err := json.Unmarshal([]byte(spec), &run)
	var r *Result
	if err == nil && len(run.Argv) == 0 {
		err = errors.New("no program is given")
	}
	if err == nil {
		r, err = trace(run)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
