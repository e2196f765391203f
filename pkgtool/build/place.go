package build

import (
	"runtime"

	"ashlar/pkgtool/build/recipe"

	"golang.org/x/sys/unix"
)

// machine is what the builds of one run share.
type machine struct {
	recipes int   // builds at a time
	cores   int   // jobs that make sense at a time
	memory  int64 // bytes; 0 is not counted
	jobs    int   // jobs of every build, where somebody said so; 0 is shared out

	running int
	used    int64 // bytes that running builds may need
}

// slots is an executor that knows how many works it can do at a time.
type slots interface{ Slots() int }

func (e *Engine) machine() *machine {
	m := &machine{recipes: e.Parallel, cores: runtime.NumCPU(), jobs: e.Jobs, memory: e.Memory}
	if other, ok := e.executor().(slots); ok && other.Slots() > 0 {
		// Its machines are not this one.
		m.memory = 0
		if m.recipes <= 0 {
			m.recipes = other.Slots()
		}
		if m.jobs == 0 {
			m.jobs = m.cores
		}
		return m
	}
	if m.recipes <= 0 {
		m.recipes = max(2, m.cores/4)
	}
	var info unix.Sysinfo_t
	if m.memory == 0 && unix.Sysinfo(&info) == nil {
		m.memory = int64(uint64(info.Totalram) * uint64(info.Unit) / 10 * 9)
	}
	return m
}

// place finds out whether one more build can start, and with how many jobs;
// ready are the builds that could start now, this one included. Over all builds
// twice as many jobs run as there are cores, because much of a build waits: for
// configure scripts, for one long compilation, for the disk.
func (m *machine) place(r *recipe.Recipe, ready int) (jobs int, memory int64, ok bool) {
	if m.running == m.recipes {
		return 0, 0, false
	}
	switch active := min(m.recipes, m.running+ready); {
	case !r.Build.IsParallel():
		jobs = 1
	case m.jobs > 0:
		jobs = m.jobs
	default:
		jobs = min(m.cores, (2*m.cores+active-1)/active)
	}
	each := r.Build.MemoryPerJob()
	if each == 0 || m.memory == 0 {
		return jobs, 0, true
	}
	fits := (m.memory - m.used) / each
	if fits < 1 && m.running > 0 {
		return 0, 0, false
	}
	jobs = int(max(1, min(int64(jobs), fits)))
	return jobs, int64(jobs) * each, true
}

func (m *machine) start(memory int64) { m.running, m.used = m.running+1, m.used+memory }
func (m *machine) end(memory int64)   { m.running, m.used = m.running-1, m.used-memory }
