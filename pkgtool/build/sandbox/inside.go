package sandbox

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// HostName is the name of every sandbox.
const HostName = "builder"

// OrDefault returns the limits with every default filled in.
func (l Limits) OrDefault() Limits { return l.orDefault() }

// Contained are commands for a container.
type Contained struct {
	Commands []Command
	Env      []string // NAME=value, the whole environment
	Limits   Limits
	Folders  []string // that the commands write to, for the limit of disk

	// Started is told the number of each command, from 0, as it starts. May be
	// nil.
	Started func(n int)

	// Wrote is told that the commands wrote files, which for [Watch] is a sign of
	// life as output is. May be nil.
	Wrote func()
}

// Inside runs commands where somebody else made the sandbox: this process is
// pid 1 of a container that has its own root, network and host name already.
// Everything else is as with [Run]: limits, umask, system calls, order, what is
// printed between commands, the end of what a command left running, and errors.
//
// The commands print to this process's standard output and error. From here on
// this process has the build's limits itself; it can be called once. The limits
// of time, silence and output are the business of who reads the output, see
// [Watch].
//
// Where the container does not let addresses be fixed (the usual seccomp profile
// of runc does not), they are random as on most systems.
func Inside(c Contained) error {
	if os.Getpid() != 1 {
		return errors.New("sandbox: not pid 1 of a container")
	}
	spec := Spec{Lower: []string{"/"}, Commands: c.Commands}
	if err := spec.check(); err != nil {
		return err
	}
	o := order{Commands: c.Commands, Env: c.Env, Limits: c.Limits.orDefault()}
	if c.Started != nil {
		o.started = func(n int) { c.Started(n - 1) }
	}
	for _, step := range []struct {
		name string
		do   func(order) error
		may  error // answer that is no failure
	}{
		{"set limits", setLimits, nil},
		{"fix addresses", fixAddresses, unix.EPERM},
		{"give up privileges", dropPrivileges, nil},
		{"filter system calls", filterSystemCalls, nil},
	} {
		if err := step.do(o); err != nil && (step.may == nil || !errors.Is(err, step.may)) {
			return &SetupError{What: fmt.Sprintf("%s: %v", step.name, err), err: err}
		}
	}
	limit, done := make(chan error, 1), make(chan struct{})
	m := &meter{limits: o.Limits, pid: 1, folders: c.Folders, alive: c.Wrote, stop: func(reason error) {
		limit <- reason
		endCommands(done)
	}}
	go m.measure(done)
	r := runCommands(o)
	close(done)
	select {
	case reason := <-limit:
		return reason
	default:
	}
	if !r.Done {
		return &ExitError{r.Command, r.Code, r.Signal}
	}
	return nil
}

// endCommands kills whatever runs besides pid 1, also what starts meanwhile.
func endCommands(done <-chan struct{}) {
	for {
		unix.Kill(-1, unix.SIGKILL)
		select {
		case <-done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Watch holds commands that run elsewhere to the limits of time, silence and
// output. Its errors are those of [Run].
type Watch struct {
	limits  Limits
	stop    func(reason error)
	wall    *time.Timer
	silence *time.Timer
	bytes   int64
}

// NewWatch begins to watch. stop is called with a [LimitError] when a limit is
// reached, from any goroutine and perhaps more than once.
func NewWatch(limits Limits, stop func(reason error)) *Watch {
	l := limits.orDefault()
	w := &Watch{limits: l, stop: stop}
	w.wall = time.AfterFunc(l.Wall, func() { stop(tooLong(l)) })
	w.silence = time.AfterFunc(l.Silence, func() { stop(tooSilent(l)) })
	return w
}

// Wrote says that the commands wrote files.
func (w *Watch) Wrote() { w.silence.Reset(w.limits.Silence) }

// Printed says that the commands printed n bytes, and tells whether they may.
// One goroutine may call it.
func (w *Watch) Printed(n int) bool {
	w.silence.Reset(w.limits.Silence)
	w.bytes += int64(n)
	if w.bytes <= w.limits.Log {
		return true
	}
	w.stop(tooLoud(w.limits))
	return false
}

// Close ends the watch.
func (w *Watch) Close() {
	w.wall.Stop()
	w.silence.Stop()
}
