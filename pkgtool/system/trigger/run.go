package trigger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/fault"
)

// DefaultTimeout is how long the triggers of a transaction may run together.
const DefaultTimeout = 10 * time.Minute

const maxLog = 16 << 20 // bytes that triggers may print

// ErrUnavailable says that this machine does not let us make the sandbox.
var ErrUnavailable = errors.New("triggers cannot run here")

// Error is a trigger that failed.
type Error struct {
	Trigger Trigger
	Log     string // the end of what it printed, safe for a terminal
	err     error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("trigger %s of package %s: %v", e.Trigger.Name, e.Trigger.Package, e.err)
	if e.Log == "" {
		return text + "; it printed nothing"
	}
	return text + "; the end of what it printed:\n    " + strings.ReplaceAll(e.Log, "\n", "\n    ")
}

func (e *Error) Unwrap() error { return e.err }

// Run runs the triggers one after the other in a copy-on-write view of the
// target. The first failure ends the run with an [*Error]; another error that
// wraps [ErrUnavailable] means that none was started. Close the Output when the
// contents of its files have been taken.
func Run(ctx context.Context, root Root, triggers []Trigger) (*Output, error) {
	if len(triggers) == 0 {
		return &Output{}, nil
	}
	w, err := newWorkspace(root)
	if err != nil {
		return nil, fmt.Errorf("prepare the triggers: %w", err)
	}
	out, err := w.run(ctx, root.Timeout, triggers)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return out, nil
}

func (w *workspace) run(ctx context.Context, timeout time.Duration, triggers []Trigger) (*Output, error) {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	log := newPrinted(triggers)
	spec := sandbox.Spec{
		Lower: []string{w.skeleton}, Scratch: w.dir, Overlays: w.overlays, Owners: os.Geteuid() == 0, Log: log,
		Env:    []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/root", "LANG=C.UTF-8", "TZ=UTC", "TERM=dumb"},
		Limits: sandbox.Limits{Wall: timeout, Silence: timeout, Log: maxLog, File: 4 << 30, Tmp: 1 << 30},
	}
	for _, t := range triggers {
		spec.Commands = append(spec.Commands, sandbox.Command{Name: heading(t), Argv: t.Run})
	}
	if err := sandbox.Run(ctx, spec); err != nil {
		return nil, explain(ctx, err, triggers, log)
	}
	out := &Output{Log: log.data, workspace: w}
	for _, t := range triggers {
		out.Ran = append(out.Ran, t.Name)
	}
	if err := out.collect(); err != nil {
		return nil, err
	}
	return out, nil
}

func heading(t Trigger) string { return fmt.Sprintf("trigger %s of %s", t.Name, t.Package) }

// explain says which trigger an error is of.
func explain(ctx context.Context, err error, triggers []Trigger, log *printed) error {
	var setup *sandbox.SetupError
	if errors.As(err, &setup) {
		return fault.Mark(fmt.Errorf("%w: %w", ErrUnavailable, err), fault.Failed, "or go on without them: --no-triggers")
	}
	var exit *sandbox.ExitError
	var limit *sandbox.LimitError
	if ctx.Err() != nil || !errors.As(err, &exit) && !errors.As(err, &limit) {
		return fmt.Errorf("run triggers: %w", err)
	}
	err = limitOrStatus(exit, limit)
	return fault.Mark(&Error{triggers[log.current], lastLines(log.ofCurrent(), 20), err}, fault.Failed, "nothing was changed; --no-triggers leaves triggers out")
}

func limitOrStatus(exit *sandbox.ExitError, limit *sandbox.LimitError) error {
	switch {
	case limit != nil:
		return limit
	case exit.Signal != "":
		return errors.New("ended by " + exit.Signal)
	}
	return fmt.Errorf("failed with exit status %d", exit.Code)
}

// lastLines returns the end of a log, without what a terminal would obey.
func lastLines(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
