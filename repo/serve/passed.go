package serve

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
)

// PassedListener is a socket that systemd opened for this process.
type PassedListener struct {
	net.Listener
	Name string // FileDescriptorName= of the socket unit
}

// firstPassed is the first file descriptor that is passed, and mostPassed the
// number that is believed; see sd_listen_fds(3).
const (
	firstPassed = 3
	mostPassed  = 64
)

// Passed returns the sockets that systemd passes, none if there are none. It
// takes them: a second call, and child processes, find none.
func Passed() ([]PassedListener, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > mostPassed {
		return nil, fault.Errorf(fault.Usage, "LISTEN_FDS is %q, not a number of sockets", count)
	}
	var passed []PassedListener
	for i := range n {
		p := PassedListener{}
		if i < len(names) {
			p.Name = names[i]
		}
		f := os.NewFile(uintptr(firstPassed+i), p.Name)
		l, err := net.FileListener(f) // a copy, closed at exec
		f.Close()
		if err != nil {
			for _, earlier := range passed {
				earlier.Close()
			}
			return nil, fault.Mark(fmt.Errorf("socket %d that was passed: %w", i, err), fault.Usage, "pass listening stream sockets")
		}
		p.Listener = l
		passed = append(passed, p)
	}
	return passed, nil
}
