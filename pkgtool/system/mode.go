package system

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// canExchange reports whether /usr can be replaced as a whole: it must be on the
// file system of the state, with nothing mounted in it, and that file system
// must exchange folders, which overlay file systems do not do for the folders of
// their lower layer. Files that no package has brought are left where they are
// by replacing in place, so a /usr of unknown origin is not exchanged.
func (s *System) canExchange() (bool, error) {
	d := s.disk
	var where unix.Statfs_t
	if err := unix.Fstatfs(int(d.root.Fd()), &where); err != nil {
		return false, err
	}
	if where.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return false, nil
	}
	usr, err := d.lstat(treeTop)
	if err != nil {
		return false, err
	}
	if usr != nil {
		if s.generation.Number == 0 || !isFolder(usr) || d.mountedBelow(treeTop) {
			return false, nil
		}
	}
	state, err := d.lstat(stateDir)
	if err != nil {
		return false, err
	}
	if state == nil {
		state = &unix.Stat_t{}
		if err := unix.Fstat(int(d.root.Fd()), state); err != nil {
			return false, err
		}
	}
	if usr != nil && usr.Dev != state.Dev {
		return false, nil
	}
	if s.held == nil {
		return true, nil // a look only; Commit probes
	}
	return d.probeExchange()
}

// probeExchange tries it with two folders of ours.
func (d *disk) probeExchange() (bool, error) {
	if err := d.makeAll(treesDir, 0o700); err != nil {
		return false, err
	}
	a, b := treesDir+"/probe.1", treesDir+"/probe.2"
	for _, path := range []string{a, b} {
		if err := d.mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return false, err
		}
	}
	possible := d.exchange(a, b) == nil
	for _, path := range []string{a, b} {
		if err := d.rmdir(path); err != nil {
			return false, err
		}
	}
	return possible, nil
}

// identity reads which generation a tree is; "" if it does not say.
func (d *disk) identity(root string) (string, error) {
	path := identityPath
	if root != "" {
		path = root + "/" + path
	}
	data, err := d.readFile(path, 1024)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return printable(string(data)), nil
}
