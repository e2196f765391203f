package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"ashlar/pkgtool/mounts"

	"golang.org/x/sys/unix"
)

// The kernel lets nobody in a user namespace look behind mounts that came from
// outside, so a folder in which others are mounted, such as /var with a /var/log
// of its own, cannot be a layer there. Before there is a user namespace, root can
// show the same folder elsewhere without what is mounted in it.

// covered returns the names in Dir/lower of the overlays' folders in which
// something is mounted, with their paths.
func covered(overlays []Overlay) (map[string]string, error) {
	places := map[string]string{}
	for i, v := range overlays {
		for j, lower := range v.Lower {
			path, err := filepath.EvalSymlinks(lower)
			if err != nil {
				return nil, err
			}
			if path, err = filepath.Abs(path); err != nil {
				return nil, err
			}
			inside, err := mounts.Below(path)
			if err != nil {
				return nil, err
			}
			if len(inside) > 0 {
				places[fmt.Sprintf("%d-%d", i, j)] = path
			}
		}
	}
	return places, nil
}

// start starts pid 1 of a sandbox. Folders in which something is mounted are shown
// to it without that, if this process may do so.
func start(cmd *exec.Cmd, spec Spec, dir string) error {
	if os.Geteuid() != 0 {
		return cmd.Start()
	}
	places, err := covered(spec.Overlays)
	if err != nil {
		return err
	}
	if len(places) == 0 {
		return cmd.Start()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: this thread's mounts are its own
		if err := showPlain(places, filepath.Join(dir, "lower")); err != nil {
			done <- err
			return
		}
		done <- cmd.Start()
	}()
	return <-done
}

// showPlain gives the calling thread a mount namespace of its own, in which every
// place in the folder lower is one that shows nothing of what is mounted in it.
func showPlain(places map[string]string, lower string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("separate mounts from the host: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("separate mounts from the host: %w", err)
	}
	for name, path := range places {
		place := filepath.Join(lower, name)
		if err := os.Remove(place); err != nil {
			return err
		}
		if err := os.Mkdir(place, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(path, place, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("show %s without what is mounted in it: %w", path, err)
		}
	}
	return nil
}
