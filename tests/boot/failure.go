package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Failure is a wait that went wrong, with what helps to find out why.
type Failure struct {
	Err       error
	After     time.Duration // since the start of the machine
	Tail      []string      // the last lines of the console
	Artifacts string        // folder with console, screen and QEMU's log; "" if it could not be written
}

func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "after %.1f s: %v", f.After.Seconds(), f.Err)
	if f.Artifacts != "" {
		fmt.Fprintf(&b, "\nfiles of the failure: %s", f.Artifacts)
	}
	if len(f.Tail) > 0 {
		fmt.Fprintf(&b, "\nlast lines of the console:\n  %s", strings.Join(f.Tail, "\n  "))
	}
	return b.String()
}

func (f *Failure) Unwrap() error { return f.Err }

// tailLines is how much of the console an error shows.
const tailLines = 15

func (v *VM) fail(err error) error {
	f := &Failure{Err: err, After: v.Elapsed()}
	if v.options.Interactive {
		return f // a person saw it
	}
	lines := strings.Split(strings.TrimRight(v.Console(), "\n"), "\n")
	f.Tail = lines[max(0, len(lines)-tailLines):]
	dir, saveErr := v.SaveArtifacts()
	if saveErr != nil {
		f.Err = errors.Join(err, fmt.Errorf("save the files of the failure: %w", saveErr))
	}
	f.Artifacts = dir
	return f
}

// SaveArtifacts writes what helps to understand a machine's state and returns
// the folder: console.raw, console.txt, qemu.log with the command line,
// events.txt, and while QEMU lives screen.png and registers.txt.
func (v *VM) SaveArtifacts() (string, error) {
	dir, err := v.artifactFolder()
	if err != nil {
		return "", err
	}
	var problems []error
	write := func(name string, data []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	write("console.txt", []byte(v.Console()+"\n"), nil)
	for _, name := range []string{"console.raw", "qemu.log"} {
		data, err := os.ReadFile(filepath.Join(v.layout.dir, name))
		write(name, data, err)
	}
	var events strings.Builder
	for _, e := range v.Events() {
		fmt.Fprintf(&events, "%s %s\n", e.Name, e.Data)
	}
	write("events.txt", []byte(events.String()), nil)
	select {
	case <-v.exited:
	default:
		v.saveState(dir)
	}
	return dir, errors.Join(problems...)
}

// saveState asks QEMU for the screen and the registers. QEMU may be ending:
// what it does not give is left out.
func (v *VM) saveState(dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if v.Screenshot(ctx, filepath.Join(dir, "screen.png")) != nil {
		return
	}
	if out, err := v.QMP(ctx, "human-monitor-command", map[string]string{"command-line": "info registers -a"}); err == nil {
		text := strings.NewReplacer(`\r\n`, "\n", `\n`, "\n").Replace(strings.Trim(string(out), `"`))
		os.WriteFile(filepath.Join(dir, "registers.txt"), []byte(text), 0o644)
	}
}

func (v *VM) artifactFolder() (string, error) {
	if v.artifacts != "" {
		return v.artifacts, nil
	}
	dir := v.options.Artifacts
	if dir == "" {
		made, err := os.MkdirTemp("", "ashlar-boot-failure-")
		if err != nil {
			return "", err
		}
		dir = made
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	v.artifacts = dir
	return dir, nil
}
