package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How often a run is measured. Files are counted at most every twentieth of the
// time, however many there are.
const (
	measureEvery = 200 * time.Millisecond
	countShare   = 20
	countAnyway  = 15 * time.Second
)

func tooLong(l Limits) error {
	return &LimitError{fmt.Sprintf("it ran longer than %v", l.Wall), "time"}
}

func tooSilent(l Limits) error {
	return &LimitError{fmt.Sprintf("it printed and wrote nothing for %v", l.Silence), "silence"}
}

func tooLoud(l Limits) error {
	return &LimitError{fmt.Sprintf("it printed more than %s", Size(l.Log)), "log"}
}

// written are the folders of the host that a run writes to.
func written(spec Spec, scratch string) []string {
	folders := []string{scratch}
	for _, b := range spec.Binds {
		if b.Writable {
			folders = append(folders, b.Source)
		}
	}
	return folders
}

// meter holds a run to its limits of processes, memory and disk: what the kernel
// does not count for a caller without rights over cgroups is counted here.
type meter struct {
	limits  Limits
	pid     int      // of the sandbox's pid 1
	folders []string // that commands write to
	stop    func(error)
	alive   func() // called when something was written; may be nil

	written  int64     // bytes in folders, when last counted
	free     int64     // of their file systems at that moment
	nextDisk time.Time // not before
	anyway   time.Time // then also if nothing seems to be written
}

// measure measures until done is closed.
func (m *meter) measure(done <-chan struct{}) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	m.free, m.anyway = m.freeSpace(), time.Now().Add(m.atLeast())
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if err := m.check(); err != nil {
			m.stop(err)
			return
		}
	}
}

func (m *meter) check() error {
	tasks, memory := usage(m.pid)
	if tasks > m.limits.Processes {
		return &LimitError{fmt.Sprintf("it ran more than %d processes and threads at one time", m.limits.Processes), "processes"}
	}
	if m.limits.Memory > 0 && memory > m.limits.Memory {
		return &LimitError{fmt.Sprintf("its processes took more than %s of memory together", Size(m.limits.Memory)), "memory"}
	}
	return m.checkDisk()
}

// checkDisk counts files when so much room disappeared from the disk that the
// limit may be reached, and now and then in any case: others may free room
// meanwhile.
func (m *meter) checkDisk() error {
	now := time.Now()
	free := m.freeSpace()
	if now.Before(m.nextDisk) || m.written+max(0, m.free-free) <= m.limits.Disk && now.Before(m.anyway) {
		return nil
	}
	before := m.written
	m.written, m.free = 0, free
	for _, folder := range m.folders {
		m.written += diskUse(folder)
	}
	if m.written != before && m.alive != nil {
		m.alive()
	}
	m.nextDisk = now.Add(countShare * time.Since(now))
	m.anyway = now.Add(m.atLeast())
	if m.written > m.limits.Disk {
		return &LimitError{fmt.Sprintf("it wrote more than %s to the disk", Size(m.limits.Disk)), "disk"}
	}
	return nil
}

// atLeast is how often files are counted whatever the free space says: often
// enough to see that a silent build writes.
func (m *meter) atLeast() time.Duration { return min(countAnyway, m.limits.Silence/4) }

// perFile is what a file counts besides its content, in bytes: an empty one
// still takes an inode, and of those a disk has only so many.
const perFile = 1 << 10

// freeSpace is the room on the file systems of the folders, in bytes; one that
// is the same for two counts twice, which only makes counting earlier.
func (m *meter) freeSpace() int64 {
	var free int64
	for _, folder := range m.folders {
		var st unix.Statfs_t
		if unix.Statfs(folder, &st) == nil {
			free += int64(st.Bavail)*st.Bsize + int64(st.Ffree)*perFile
		}
	}
	return free
}

// diskUse is what a folder's files take on the disk, in bytes. What cannot be
// read, or goes away meanwhile, does not count.
func diskUse(folder string) int64 {
	var sum int64
	_ = filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		var st unix.Stat_t
		if unix.Lstat(name, &st) == nil {
			sum += st.Blocks*512 + perFile
		}
		return nil
	})
	return sum
}

// usage counts the tasks of a process and all below it, and the memory they do
// not share with files, in bytes. Processes whose parent ended belong to pid 1,
// so none of a sandbox is missed.
func usage(pid int) (tasks int, memory int64) {
	page := int64(os.Getpagesize())
	pending := []int{pid}
	for len(pending) > 0 {
		p := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		dir := "/proc/" + strconv.Itoa(p)
		threads, err := os.ReadDir(dir + "/task")
		if err != nil {
			continue // it ended
		}
		if p != pid { // pid 1 is ours
			tasks += len(threads)
			if data, err := os.ReadFile(dir + "/statm"); err == nil {
				fields := strings.Fields(string(data))
				if len(fields) > 2 {
					resident, _ := strconv.ParseInt(fields[1], 10, 64)
					shared, _ := strconv.ParseInt(fields[2], 10, 64)
					memory += max(0, resident-shared) * page
				}
			}
		}
		for _, thread := range threads {
			data, err := os.ReadFile(dir + "/task/" + thread.Name() + "/children")
			if err != nil {
				continue
			}
			for child := range strings.FieldsSeq(string(data)) {
				if n, err := strconv.Atoi(child); err == nil {
					pending = append(pending, n)
				}
			}
		}
	}
	return tasks, memory
}

// Size writes bytes as recipes do, such as 4GiB.
func Size(bytes int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if bytes >= unit.bytes && bytes%unit.bytes == 0 {
			return strconv.FormatInt(bytes/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(bytes, 10) + " bytes"
}
