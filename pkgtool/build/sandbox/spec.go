package sandbox

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// Spec says what runs, and where.
type Spec struct {
	Lower    []string // folders of the root, topmost first; never written to
	Scratch  string   // a folder on disk for what is written to the root; Run cleans up behind itself
	Binds    []Bind
	Commands []Command // one after the other; the first failure ends the run
	Env      []string  // NAME=value, the whole environment
	Log      io.Writer // gets the output of all commands
	Limits   Limits

	Overlays []Overlay // mounted after the Binds, in this order

	// Owners keeps the numbers of users and groups as they are outside, and lets
	// commands change owners. Only root can have it; without it every file
	// belongs to the caller, and chown does nothing.
	Owners bool

	// Started is told the number of each command, from 0, as it starts. May be
	// nil.
	Started func(n int)

	// Terminal connects the commands with the caller's standard streams
	// instead of Log, for a person who wants to look around.
	Terminal bool
}

// Bind shows a folder or file of the host in the root.
type Bind struct {
	Source   string // on the host
	Target   string // absolute, in the root
	Writable bool
}

// Overlay is a folder of the root that commands may change, where the changes
// are kept in a folder of their own, in overlayfs's form with userxattr.
type Overlay struct {
	Target string   // absolute, in the root
	Lower  []string // folders it consists of, topmost first; never written to
	Upper  string   // an empty folder, for the changes
	Work   string   // another one, on the same file system
}

// Command is a program and its arguments.
type Command struct {
	Name string // for the log and for errors
	Argv []string
	Dir  string   // absolute, in the root; default /
	Env  []string // further variables; they win over those of the Spec
}

// Limits end a run that does not end by itself. A zero value means the default.
type Limits struct {
	Wall    time.Duration // of the whole run; default 6 hours
	Silence time.Duration // without output, and without a change of the size of what was written; default 1 hour
	Log     int64         // bytes of output; default 512 MiB
	File    int64         // bytes of one file; default 64 GiB
	Tmp     int64         // bytes in /tmp; default 4 GiB

	Disk      int64 // bytes of everything written to disk; default 64 GiB
	Memory    int64 // bytes of all processes together, without what they share; default no limit
	Processes int   // processes and threads at one time; default 16384
}

func (l Limits) orDefault() Limits {
	if l.Wall == 0 {
		l.Wall = 6 * time.Hour
	}
	if l.Silence == 0 {
		l.Silence = time.Hour
	}
	if l.Log == 0 {
		l.Log = 512 << 20
	}
	if l.File == 0 {
		l.File = 64 << 30
	}
	if l.Tmp == 0 {
		l.Tmp = 4 << 30
	}
	if l.Disk == 0 {
		l.Disk = 64 << 30
	}
	if l.Processes == 0 {
		l.Processes = 16384
	}
	return l
}

func (s *Spec) check() error {
	if len(s.Lower) == 0 || len(s.Lower) > 450 {
		return fmt.Errorf("a root has 1 to 450 folders, not %d", len(s.Lower))
	}
	var targets []string
	for _, b := range s.Binds {
		targets = append(targets, b.Target)
	}
	for _, v := range s.Overlays {
		targets = append(targets, v.Target)
		if len(v.Lower) == 0 || len(v.Lower) > 100 {
			return fmt.Errorf("mount on %s: an overlay has 1 to 100 folders, not %d", v.Target, len(v.Lower))
		}
	}
	for _, target := range targets {
		if !filepath.IsAbs(target) || filepath.Clean(target) != target || target == "/" {
			return fmt.Errorf("mount on %q: not a clean absolute path", target)
		}
	}
	for _, c := range s.Commands {
		if len(c.Argv) == 0 {
			return fmt.Errorf("command %q is empty", c.Name)
		}
		for _, arg := range c.Argv {
			if strings.ContainsRune(arg, 0) {
				return fmt.Errorf("command %q has a zero byte in an argument", c.Name)
			}
		}
	}
	return nil
}

// ExitError is a command that ended with a status other than 0.
type ExitError struct {
	Command string
	Code    int    // exit status; -1 for a signal
	Signal  string // name of the signal, if one ended it
}

func (e *ExitError) Error() string {
	if e.Signal != "" {
		return fmt.Sprintf("%s was ended by %s", e.Command, e.Signal)
	}
	return fmt.Sprintf("%s failed with exit status %d", e.Command, e.Code)
}

// LimitError is a run that was ended because it reached a limit.
type LimitError struct {
	What  string // what it did
	Limit string // which limit that is: time, silence, log, disk, memory or processes
}

func (e *LimitError) Error() string { return "stopped: " + e.What }

// SetupError is a sandbox that could not be set up.
type SetupError struct {
	What string // the step and its error
	err  error  // the system's reason, a syscall.Errno, or nil
}

func (e *SetupError) Error() string { return "set up the sandbox: " + e.What }
func (e *SetupError) Unwrap() error { return e.err }
