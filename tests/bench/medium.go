package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// medium is where roots are installed for a measurement.
type medium struct {
	name  string // for the table
	flush bool   // whether bringing everything to the disk is part of the time
}

var (
	memory = medium{name: "tmpfs"}
	disk   = medium{name: "ext4", flush: true}
)

// sizes of the file systems; both are sparse and hold several systems.
const (
	memorySize = "16g"
	diskSize   = "24G"
)

// mount makes an empty file system of the kind and returns its folder.
func (b *bench) mount(ctx context.Context, m medium) (string, error) {
	dir := filepath.Join(b.dataDir, "mnt", m.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if m.flush {
		image := dir + ".img"
		if err := errors.Join(remove(image), command(ctx, "truncate", "-s", diskSize, image)); err != nil {
			return "", err
		}
		// Lazy initialisation would write behind the measurements.
		if err := command(ctx, "mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image); err != nil {
			return "", err
		}
		if err := command(ctx, "mount", "-o", "loop", image, dir); err != nil {
			return "", err
		}
	} else if err := command(ctx, "mount", "-t", "tmpfs", "-o", "size="+memorySize+",mode=0755", "tmpfs", dir); err != nil {
		return "", err
	}
	b.mounts = append(b.mounts, dir)
	return dir, nil
}

// unmount takes all file systems of mount away.
func (b *bench) unmount() error {
	var failed []error
	for _, dir := range b.mounts {
		// Not under the run's context: it may be over.
		failed = append(failed, command(context.Background(), "umount", "-l", dir), remove(dir+".img"))
	}
	b.mounts = nil
	return errors.Join(failed...)
}

// flushed is the folder whose flush is part of a case's time, or "".
func (m medium) flushed(dir string) string {
	if m.flush {
		return dir
	}
	return ""
}

// command runs a program that is not measured.
func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out[max(0, len(out)-2000):])))
	}
	return nil
}

// remove removes whatever is at path.
func remove(path string) error { return os.RemoveAll(path) }
