package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// udevRun is the folder of udev's run-time files. It is there while udev runs.
const udevRun = "/run/udev"

// assembles are the rules by which udev starts arrays and logical volumes as
// soon as it sees their parts.
var assembles = []string{"64-md-raid-assembly.rules", "69-dm-lvm.rules"}

// holdUdev keeps udev from starting what the installer has just made or taken
// apart, until release is called: an array that comes back holds the disks. A
// file in run's folder wins over the package's of the same name.
func holdUdev(ctx context.Context, run string) (release func() error, err error) {
	if _, err := os.Stat(filepath.Join(run, "control")); errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil // no udev
	}
	rules := filepath.Join(run, "rules.d")
	if err := os.MkdirAll(rules, 0o755); err != nil {
		return nil, err
	}
	var made []string
	release = func() error {
		// What was written is looked at now, not when the rules are back.
		err := udevadm(context.WithoutCancel(ctx), "settle")
		for _, path := range made {
			err = errors.Join(err, os.Remove(path))
		}
		return errors.Join(err, udevadm(context.WithoutCancel(ctx), "control", "--reload"))
	}
	for _, name := range assembles {
		path := filepath.Join(rules, name)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue // somebody's own
		}
		if err != nil {
			return nil, errors.Join(err, release())
		}
		f.Close()
		made = append(made, path)
	}
	if err := udevadm(ctx, "control", "--reload"); err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}

func udevadm(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "udevadm", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("udevadm %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
