package restart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Report is what has to be started again.
type Report struct {
	Processes []Process `json:"processes"` // by number
	Units     []string  `json:"units"`     // services that these belong to, sorted
	Reboot    bool      `json:"reboot"`
	Why       []string  `json:"why"`              // reasons for a reboot
	Unseen    int       `json:"unseen,omitempty"` // processes that we may not look into
}

// Empty reports whether everything runs on present files.
func (r *Report) Empty() bool { return len(r.Processes) == 0 && !r.Reboot }

// Process uses files that are not there any more, or not the same.
type Process struct {
	PID     int      `json:"pid"`
	Name    string   `json:"name"`
	Command string   `json:"command"`        // its arguments, joined by blanks
	Unit    string   `json:"unit,omitempty"` // systemd's service or session, "" if there is none
	Files   []string `json:"files"`          // their paths in the root, sorted
}

// Processes looks at all processes that run in root or see it as a part of
// their own root, except this one. Only files below usr count: those are what
// packages bring. Whether the kernel is old is told for the root "/" only.
func Processes(root string) (*Report, error) {
	s, err := newSystem(root)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	r := &Report{Processes: []Process{}, Units: []string{}, Why: []string{}}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, err := s.process(pid)
		switch {
		case errors.Is(err, fs.ErrPermission):
			r.Unseen++
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH): // it has ended
		case err != nil:
			return nil, err
		case p != nil:
			r.Processes = append(r.Processes, *p)
		}
	}
	slices.SortFunc(r.Processes, func(a, b Process) int { return a.PID - b.PID })
	for _, p := range r.Processes {
		if strings.HasSuffix(p.Unit, ".service") && !strings.HasPrefix(p.Unit, "user@") && !slices.Contains(r.Units, p.Unit) {
			r.Units = append(r.Units, p.Unit)
		}
	}
	slices.Sort(r.Units)
	if r.Why, err = s.reasons(r.Processes); err != nil {
		return nil, err
	}
	r.Reboot = len(r.Why) > 0
	return r, nil
}

// system is the root that is looked at.
type system struct {
	root       string // absolute and without symbolic links; "" for /
	mounts     string // our mount namespace
	dev, inode uint64 // of the root folder
	current    map[string]uint64
}

func newSystem(root string) (*system, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, err
	}
	s := &system{root: strings.TrimSuffix(abs, "/"), current: map[string]uint64{}}
	var st unix.Stat_t
	if err := unix.Stat(abs, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: abs, Err: err}
	}
	s.dev, s.inode = uint64(st.Dev), st.Ino
	s.mounts, err = os.Readlink("/proc/self/ns/mnt")
	return s, err
}

// process returns nil if a process uses nothing old.
func (s *system) process(pid int) (*Process, error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	maps, err := os.ReadFile(dir + "/maps")
	if err != nil || len(maps) == 0 { // a kernel thread has none
		return nil, err
	}
	v, err := s.viewOf(dir)
	if err != nil || v.apart {
		return nil, err
	}
	var files []string
	for path, m := range mappings(string(maps)) {
		name, old := s.judge(path, m, v)
		if old {
			files = append(files, name)
		}
	}
	if files == nil {
		return nil, nil
	}
	slices.Sort(files)
	p := &Process{PID: pid, Files: slices.Compact(files)}
	for name, into := range map[string]*string{"comm": &p.Name, "cmdline": &p.Command, "cgroup": &p.Unit} {
		data, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			return nil, err
		}
		*into = strings.TrimSpace(strings.ReplaceAll(string(data), "\x00", " "))
	}
	p.Unit = unit(p.Unit)
	return p, nil
}

// view is how a process sees files.
type view struct {
	apart  bool   // in a root of its own: a container
	mounts bool   // with mounts of its own
	root   string // where its view of our root folder can be looked at
}

func (s *system) viewOf(dir string) (v view, err error) {
	mounts, err := os.Readlink(dir + "/ns/mnt")
	if err != nil {
		return v, err
	}
	v.mounts, v.root = mounts != s.mounts, dir+"/root"
	var its, slash unix.Stat_t
	if err := errors.Join(unix.Stat(v.root+"/.", &its), unix.Stat("/", &slash)); err != nil {
		return v, err
	}
	switch {
	case its.Ino == slash.Ino && its.Dev == slash.Dev:
		v.root += s.root
	case its.Ino != s.inode || uint64(its.Dev) != s.dev:
		v.apart = true
	}
	return v, nil
}

// mapping is a file in a process's memory.
type mapping struct {
	inode   uint64
	deleted bool
}

// mappings reads /proc/PID/maps: for each file that is mapped, its path.
func mappings(text string) map[string]mapping {
	files := map[string]mapping{}
	for line := range strings.Lines(text) {
		// 7f0c-7f0d r-xp 00000000 fd:01 1234    /usr/lib/libc.so.6 (deleted)
		fields := strings.Fields(line)
		slash := strings.IndexByte(line, '/')
		if len(fields) < 6 || slash < 0 {
			continue
		}
		inode, err := strconv.ParseUint(fields[4], 10, 64)
		if err != nil || inode == 0 {
			continue
		}
		path, deleted := strings.CutSuffix(strings.TrimSuffix(line[slash:], "\n"), " (deleted)")
		// A file that is both deleted and there is mapped twice: as it was, and as it is.
		if files[path].deleted {
			continue
		}
		files[path] = mapping{inode, deleted}
	}
	return files
}

// judge says whether a mapped file is another one than the root has now, and
// how it is called there.
func (s *system) judge(path string, m mapping, v view) (name string, old bool) {
	inside, ok := strings.CutPrefix(path, s.root+"/")
	if !ok {
		return "", false
	}
	exchanged := false
	if tree, ok := strings.CutPrefix(inside, ".ashlar/trees/"); ok {
		if _, inside, ok = strings.Cut(tree, "/"); !ok {
			return "", false
		}
		exchanged = true
	}
	if !strings.HasPrefix(inside, "usr/") {
		return "", false
	}
	name = "/" + inside
	if !m.deleted && !exchanged {
		// The kernel finds it under that name: it is the present one, unless the
		// process has an older /usr mounted.
		return name, v.mounts && s.mountedOver(v, inside)
	}
	// Numbers of devices are not compared: some file systems show other ones here.
	return name, s.inodeOf(inside) != m.inode
}

// inodeOf returns 0 if there is no such file.
func (s *system) inodeOf(inside string) uint64 {
	inode, known := s.current[inside]
	if !known {
		var st unix.Stat_t
		if unix.Stat(s.root+"/"+inside, &st) == nil {
			inode = st.Ino
		}
		s.current[inside] = inode
	}
	return inode
}

// mountedOver reports whether the process sees another file there than we do.
func (s *system) mountedOver(v view, inside string) bool {
	var st unix.Stat_t
	return unix.Stat(v.root+"/"+inside, &st) == nil && st.Ino != s.inodeOf(inside)
}

// unit returns the innermost service or session of a control group file.
func unit(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		if controllers != "" && controllers != "name=systemd" {
			continue
		}
		parts := strings.Split(path, "/")
		for _, part := range slices.Backward(parts) {
			if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
				return part
			}
		}
	}
	return ""
}
