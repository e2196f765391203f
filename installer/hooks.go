package installer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// Hooks are shell scripts that run in the target, by its own /bin/sh. What they
// print is in the log. One that fails ends the installation: the disk then does
// not start.
type Hooks struct {
	Before []string `yaml:"before,omitempty" jsonschema_description:"when the packages are there, before anything is configured"`
	After  []string `yaml:"after,omitempty" jsonschema_description:"when all is configured, before the boot loader is written"`
}

// hookTime is how long one script may run.
const hookTime = 30 * time.Minute

// maxHookOutput is how much of a failed script's output an error shows, in bytes.
const maxHookOutput = 2000

// runHooks runs scripts in the system below dir.
func runHooks(ctx context.Context, dir, when string, scripts []string, say func(string), log io.Writer) (err error) {
	if len(scripts) == 0 {
		return nil
	}
	mounts, err := bind(dir)
	defer func() { err = errors.Join(err, unbind(mounts)) }()
	if err != nil {
		return err
	}
	for i, script := range scripts {
		name := fmt.Sprintf("hooks.%s[%d]", when, i)
		say("run " + name)
		if err := runHook(ctx, dir, script, log); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func runHook(ctx context.Context, dir, script string, log io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-e")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Setpgid: true}
	// All of its processes, or the disk stays in use.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(script)
	output := &ending{}
	cmd.Stdout = io.MultiWriter(output, log)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		return fault.Mark(fmt.Errorf("%w\n%s", err, strings.TrimSpace(string(output.text))), fault.Failed,
			"correct the script in the answer file and start again; the disk does not boot until then")
	}
	return nil
}

// ending keeps the last bytes of what is written.
type ending struct{ text []byte }

func (e *ending) Write(p []byte) (int, error) {
	e.text = append(e.text, p...)
	if n := len(e.text) - maxHookOutput; n > 0 {
		e.text = e.text[n:]
	}
	return len(p), nil
}

// bind shows /dev, /proc, /sys and /run to programs that run with dir as their
// root. What it returns must be given to unbind, also after an error.
func bind(dir string) (mounts []string, err error) {
	for _, from := range []string{"/dev", "/proc", "/sys", "/run"} {
		to := filepath.Join(dir, from)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return mounts, err
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return mounts, fmt.Errorf("show %s to the programs in %s: %w", from, dir, err)
		}
		mounts = append(mounts, to)
		// What is unmounted here must stay mounted there.
		if err := unix.Mount("", to, "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return mounts, fmt.Errorf("show %s to the programs in %s: %w", from, dir, err)
		}
	}
	return mounts, nil
}

func unbind(mounts []string) error {
	for len(mounts) > 0 {
		last := len(mounts) - 1
		if err := unix.Unmount(mounts[last], unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", mounts[last], err)
		}
		mounts = mounts[:last]
	}
	return nil
}
