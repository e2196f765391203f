package system

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// stage writes the files of a plan, complete with owner, mode, attributes and
// time, to numbered names in the staging folder.
func (p *Plan) stage(ctx context.Context, progress func(done, total int64)) error {
	d := p.system.disk
	if err := d.removeAll(stagingDir); err != nil {
		return err
	}
	if err := d.mkdir(stagingDir, 0o700); err != nil {
		return err
	}
	s := &stager{d: d, plan: p, progress: progress}
	for _, add := range p.change.Add {
		numbers := p.staged[add.Package]
		if len(numbers) == 0 {
			continue
		}
		s.numbers, s.seconds = numbers, add.Package.Manifest().Provenance.Epoch
		if err := add.Package.Walk(ctx, s.file); err != nil {
			return fmt.Errorf("unpack %s: %w", add.Package.Manifest().Name, err)
		}
	}
	return nil
}

type stager struct {
	d        *disk
	plan     *Plan
	numbers  map[string]int
	seconds  int64
	done     int64
	progress func(done, total int64)
}

func (s *stager) file(f *pkgfile.File, content io.Reader) error {
	number, wanted := s.numbers[f.Path]
	if !wanted {
		return nil
	}
	path := stagingDir + "/" + strconv.Itoa(number)
	var err error
	switch f.Type {
	case pkgfile.TypeHardlink:
		return s.d.link(stagingDir, strconv.Itoa(s.numbers[f.Target]), strconv.Itoa(number))
	case pkgfile.TypeSymlink:
		err = s.symlink(f, path)
	default:
		err = s.regular(f, path, content)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	s.done += f.Size
	if s.progress != nil {
		s.progress(s.done, s.plan.Bytes)
	}
	return nil
}

func (s *stager) symlink(f *pkgfile.File, path string) error {
	if err := s.d.symlink(f.Target, path); err != nil {
		return err
	}
	return s.d.at("set", path, func(fd int, base string) error {
		if privileged {
			uid, gid, err := s.plan.owners.of(f)
			if err != nil {
				return err
			}
			if err := unix.Fchownat(fd, base, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
		}
		return s.setTime(fd, base)
	})
}

// regular writes a file. The order matters: a change of owner clears the
// setuid bits and capabilities, so owner, mode, attributes; the time last.
func (s *stager) regular(f *pkgfile.File, path string, content io.Reader) error {
	file, err := s.d.create(path, 0o600)
	if err != nil {
		return err
	}
	if err := s.fill(f, file, content); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return s.d.at("set", path, s.setTime)
}

func (s *stager) fill(f *pkgfile.File, file rawFile, content io.Reader) error {
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	if privileged {
		uid, gid, err := s.plan.owners.of(f)
		if err != nil {
			return err
		}
		if err := unix.Fchown(int(file), int(uid), int(gid)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(int(file), f.Mode); err != nil {
		return err
	}
	return setXattrs(int(file), f.Xattrs)
}

func (s *stager) setTime(fd int, base string) error {
	t := unix.Timespec{Sec: s.seconds}
	return unix.UtimesNanoAt(fd, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
