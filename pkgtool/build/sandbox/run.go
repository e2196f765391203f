package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// order is what the parent tells pid 1, over file descriptor 3. The pipe stays
// open as long as the parent lives; its end is the end of the sandbox.
type order struct {
	Dir      string // scratch folder of this run
	Layers   int    // lower folders, as symbolic links 0, 1, ... in Dir/lower
	Binds    []Bind
	Commands []Command
	Env      []string
	Limits   Limits
	Terminal bool
	Overlays []overlayOrder
	Owners   bool

	started func(n int) // in pid 1
}

// overlayOrder is an Overlay whose folders are symbolic links in Dir/lower:
// upperN, workN and, from the top, N-0, N-1, ...
type overlayOrder struct {
	Target string
	Lower  int
}

// outcome is what pid 1 answers, over file descriptor 4: one for each command
// that starts, and one at the end.
type outcome struct {
	Started int    `json:",omitempty"` // number of a command, from 1
	Setup   string // what could not be set up
	Errno   int    // the system's reason for it
	Command string // the command that failed
	Code    int
	Signal  string
	Done    bool // everything succeeded
}

const initArgument = "build-sandbox-init"

// Run makes a sandbox, runs the commands in it and waits for their end.
func Run(ctx context.Context, spec Spec) error {
	if err := spec.check(); err != nil {
		return err
	}
	spec.Limits = spec.Limits.orDefault()
	dir, err := makeScratch(spec)
	if err != nil {
		return fmt.Errorf("prepare the build root: %w", err)
	}
	runErr := run(ctx, spec, dir)
	if err := RemoveTree(dir); err != nil && runErr == nil {
		return fmt.Errorf("remove the build root: %w", err)
	}
	return runErr
}

// makeScratch lays out the folders of one run.
func makeScratch(spec Spec) (string, error) {
	dir, err := os.MkdirTemp(spec.Scratch, "root-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"upper", "work", "root", "lower"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "upper"), 0o755); err != nil {
		return "", err
	}
	links := map[string]string{}
	for i, lower := range spec.Lower {
		links[fmt.Sprint(i)] = lower
	}
	for i, v := range spec.Overlays {
		links[fmt.Sprint("upper", i)], links[fmt.Sprint("work", i)] = v.Upper, v.Work
		for j, lower := range v.Lower {
			links[fmt.Sprintf("%d-%d", i, j)] = lower
		}
	}
	for name, target := range links {
		abs, err := filepath.Abs(target)
		if err != nil {
			return "", err
		}
		if err := os.Symlink(abs, filepath.Join(dir, "lower", name)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func run(ctx context.Context, spec Spec, dir string) error {
	orderR, orderW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer orderW.Close()
	defer orderR.Close()
	outcomeR, outcomeW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer outcomeR.Close()
	defer outcomeW.Close()
	logR, logW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer logR.Close()
	defer logW.Close()

	cmd := exec.Command("/proc/self/exe", initArgument)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{orderR, outcomeW}
	cmd.Stdout, cmd.Stderr = logW, logW
	if spec.Terminal {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	}
	if cmd.SysProcAttr, err = namespaces(spec.Owners); err != nil {
		return err
	}
	// Ctrl-C on the caller's terminal is for the caller, who ends pid 1.
	cmd.SysProcAttr.Setsid = !spec.Terminal
	if err := start(cmd, spec, dir); err != nil {
		return explainStart(err)
	}
	orderR.Close()
	outcomeW.Close()
	logW.Close()

	o := order{dir, len(spec.Lower), spec.Binds, spec.Commands, spec.Env, spec.Limits, spec.Terminal, nil, spec.Owners, nil}
	for _, v := range spec.Overlays {
		o.Overlays = append(o.Overlays, overlayOrder{v.Target, len(v.Lower)})
	}
	watch := newWatch(ctx, spec, cmd.Process)
	if !spec.Terminal {
		m := &meter{limits: spec.Limits, pid: cmd.Process.Pid, folders: written(spec, dir), stop: watch.kill, alive: watch.alive}
		done := make(chan struct{})
		defer close(done)
		go m.measure(done)
	}
	var result outcome
	var wait sync.WaitGroup
	wait.Go(func() { watch.copyLog(logR) })
	wait.Go(func() {
		// A write to a dead pid 1 fails; its outcome then tells more.
		_ = json.NewEncoder(orderW).Encode(o)
	})
	wait.Go(func() {
		answers := json.NewDecoder(io.LimitReader(outcomeR, 1<<20))
		for {
			var answer outcome
			if answers.Decode(&answer) != nil {
				return
			}
			if answer.Started == 0 {
				result = answer
			} else if spec.Started != nil {
				spec.Started(answer.Started - 1)
			}
		}
	})
	exit := cmd.Wait()
	wait.Wait()
	if err := watch.end(); err != nil {
		return err
	}
	return result.err(exit)
}

// err translates the outcome; exit is how pid 1 itself ended.
func (r outcome) err(exit error) error {
	switch {
	case r.Done:
		return nil
	case r.Setup != "":
		return explainSetup(r)
	case r.Command != "":
		return &ExitError{r.Command, r.Code, r.Signal}
	}
	return fmt.Errorf("the sandbox ended before its commands did: %w", exit)
}

const namespaceHint = "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0, " +
	"and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for pkgtool; " +
	"in a container, start it with --security-opt seccomp=unconfined --security-opt systempaths=unconfined"

func explainStart(err error) error {
	setup := &SetupError{What: err.Error(), err: err}
	for _, reason := range []error{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.EINVAL} {
		if errors.Is(err, reason) {
			return fault.Mark(setup, fault.Failed, namespaceHint)
		}
	}
	return setup
}

func explainSetup(r outcome) error {
	setup := &SetupError{What: r.Setup}
	if r.Errno != 0 {
		setup.err = syscall.Errno(r.Errno)
	}
	switch unix.Errno(r.Errno) {
	case unix.EPERM, unix.EACCES:
		return fault.Mark(setup, fault.Failed, namespaceHint)
	case unix.ENOSPC, unix.EDQUOT:
		return fault.Mark(setup, fault.Failed, "make room on the file system of the sandbox; for builds, ASHLAR_CACHE moves the cache")
	}
	return setup
}

// watch copies the log and ends the sandbox when a limit is reached.
type watch struct {
	spec    Spec
	process *os.Process
	stop    func()
	silence *time.Timer
	wall    *time.Timer

	mu     sync.Mutex
	reason error
}

func newWatch(ctx context.Context, spec Spec, process *os.Process) *watch {
	w := &watch{spec: spec, process: process}
	l := spec.Limits
	w.wall = time.AfterFunc(l.Wall, func() {
		w.kill(tooLong(l))
	})
	if !spec.Terminal {
		w.silence = time.AfterFunc(l.Silence, func() {
			w.kill(tooSilent(l))
		})
	}
	cancel := context.AfterFunc(ctx, func() { w.kill(context.Cause(ctx)) })
	w.stop = func() { cancel() }
	return w
}

// kill ends pid 1 and with it every process of the sandbox.
func (w *watch) kill(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason == nil {
		w.reason = reason
	}
	w.process.Kill()
}

// alive says that the commands printed or wrote something: a compilation that says
// nothing is not one that hangs.
func (w *watch) alive() {
	if w.silence != nil {
		w.silence.Reset(w.spec.Limits.Silence)
	}
}

func (w *watch) copyLog(r io.Reader) {
	buf := make([]byte, 64<<10)
	var total int64
	for {
		n, err := r.Read(buf)
		if n > 0 {
			w.alive()
			total += int64(n)
			if total > w.spec.Limits.Log {
				w.kill(tooLoud(w.spec.Limits))
			} else if _, werr := w.spec.Log.Write(buf[:n]); werr != nil {
				w.kill(fmt.Errorf("write the log: %w", werr))
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *watch) end() error {
	w.wall.Stop()
	if w.silence != nil {
		w.silence.Stop()
	}
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}
