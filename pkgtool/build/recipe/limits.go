package recipe

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Bounds are the limits of a build as numbers; 0 is the default.
type Bounds struct {
	Time, Silence     time.Duration
	Memory, Disk, Log int64 // bytes
	Processes         int
}

var sizeRE = regexp.MustCompile(`^([1-9][0-9]{0,6})(KiB|MiB|GiB|TiB)$`)

// parseSize reads a size such as 512MiB, in bytes; "" is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	m := sizeRE.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is not a whole number with KiB, MiB, GiB or TiB behind it, such as 512MiB", text)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	return n << map[string]int{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[m[2]], err
}

// parseTime reads a time such as 90m; "" is 0.
func parseTime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > 7*24*time.Hour {
		return 0, fmt.Errorf("%q is not a time from 1s to 168h, such as 90m", text)
	}
	return d, nil
}

// MemoryPerJob is what one job of the build needs, in bytes; 0 is not known.
func (b *Build) MemoryPerJob() int64 {
	n, _ := parseSize(b.Memory) // checked when loaded
	return n
}

// Bounds are the limits as numbers.
func (l *Limits) Bounds() Bounds {
	b, _ := l.parse() // checked when loaded
	return b
}

func (l *Limits) parse() (b Bounds, wrong map[string]error) {
	wrong = map[string]error{}
	size := func(key, text string) int64 {
		n, err := parseSize(text)
		if err != nil {
			wrong[key] = err
		}
		return n
	}
	length := func(key, text string) time.Duration {
		d, err := parseTime(text)
		if err != nil {
			wrong[key] = err
		}
		return d
	}
	b = Bounds{
		Time: length("time", l.Time), Silence: length("silence", l.Silence),
		Memory: size("memory", l.Memory), Disk: size("disk", l.Disk), Log: size("log", l.Log), Processes: l.Processes,
	}
	if l.Processes < 0 {
		wrong["processes"] = fmt.Errorf("%d is no number of processes", l.Processes)
	}
	return b, wrong
}
