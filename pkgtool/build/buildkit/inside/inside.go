package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"ashlar/pkgtool/build/sandbox"

	"golang.org/x/sys/unix"
)

// Where things are in the container.
const (
	Dir     = "/.ashlar"        // all of it
	Program = Dir + "/pkgtool"  // folder with this program, which is called Name
	Socket  = Dir + "/socket"   // leads to pkgtool
	Build   = Dir + "/in-build" // folder with Packed, for /build
	Dest    = Dir + "/in-dest"  // folder with Packed, for /dest

	Name   = "inside"  // the program's file name
	Packed = "content" // file name of a packed folder
)

// Argument makes this program pid 1 of a farm's container, see MaybeRun.
const Argument = "farm-inside"

// aliveEvery is how often pid 1 says that it is there.
const aliveEvery = 5 * time.Second

// Order is what pkgtool asks for.
type Order struct {
	Env      []string          `json:"env"`
	Commands []sandbox.Command `json:"commands"`
	Limits   sandbox.Limits    `json:"limits"`
	Folders  map[string]string `json:"folders"` // to fill: path in the container -> packed file
	Dest     string            `json:"dest"`    // folder to send back; "" is none
	Build    string            `json:"build"`   // folder to send back when a command failed; "" is none
}

// Result is how the commands ended.
type Result struct {
	Done    bool   `json:"done"`              // all succeeded
	Setup   string `json:"setup,omitempty"`   // what could not be set up
	Command string `json:"command,omitempty"` // the one that failed
	Code    int    `json:"code,omitempty"`
	Signal  string `json:"signal,omitempty"`
	Limit   string `json:"limit,omitempty"` // the limit that was reached, and
	What    string `json:"what,omitempty"`  // what was done
}

// Failed says that a command failed by itself: what it left is worth a look.
func (r *Result) Failed() bool { return r.Command != "" }

// Err is the result as the sandbox on this host would return it.
func (r *Result) Err() error {
	switch {
	case r.Done:
		return nil
	case r.Setup != "":
		return &sandbox.SetupError{What: r.Setup}
	case r.Limit != "":
		return &sandbox.LimitError{What: r.What, Limit: r.Limit}
	}
	return &sandbox.ExitError{Command: r.Command, Code: r.Code, Signal: r.Signal}
}

// MaybeRun takes over the process when it was started in a farm's container,
// and then never returns. Call it first thing in main.
func MaybeRun() {
	if len(os.Args) == 2 && os.Args[1] == Argument && os.Getpid() == 1 {
		// The daemon's log of this process; later these are the commands' output.
		daemon, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
		if err == nil {
			err = run(os.NewFile(uintptr(daemon), "daemon"))
		}
		if err != nil {
			_, _ = unix.Write(daemon, []byte(err.Error()+"\n"))
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func run(daemon io.Writer) error {
	socket, err := net.Dial("unix", Socket)
	if err != nil {
		return err
	}
	conn := NewConn(socket)
	kind, payload, err := conn.Receive()
	if err != nil {
		return fmt.Errorf("receive the order: %w", err)
	}
	var o Order
	if err := json.Unmarshal(payload, &o); err != nil || kind != OrderFrame {
		return fmt.Errorf("receive the order: frame %q: %w", kind, err)
	}
	receipt := make(chan struct{})
	go func() {
		kind, _, err := conn.Receive()
		if err != nil || kind != ReceiptFrame {
			// pkgtool is gone, and with it the reason for all this.
			fmt.Fprintln(daemon, "the connection to pkgtool ended:", err)
			os.Exit(1)
		}
		close(receipt)
	}()
	go func() {
		for range time.Tick(aliveEvery) {
			if conn.Send(AliveFrame, nil) != nil {
				return
			}
		}
	}()
	result, err := o.run(conn)
	if err != nil {
		return err
	}
	if err := o.sendBack(conn, result); err != nil {
		return err
	}
	<-receipt
	return nil
}

// run fills the folders and runs the commands. An error is one of the farm.
func (o *Order) run(conn *Conn) (*Result, error) {
	unix.Umask(0o022)
	for folder, packed := range o.Folders {
		if err := fill(folder, packed); err != nil {
			return nil, fmt.Errorf("fill %s: %w", folder, err)
		}
	}
	for _, folder := range []string{"/tmp", "/dev/shm"} {
		if err := unix.Chmod(folder, 0o1777); err != nil {
			return nil, err
		}
	}
	restore, err := capture(writer{conn, LogFrame})
	if err != nil {
		return nil, err
	}
	err = sandbox.Inside(sandbox.Contained{
		Commands: o.Commands, Env: o.Env, Limits: o.Limits, Folders: slices.Sorted(maps.Keys(o.Folders)),
		// A failure to send is one of the log's too.
		Started: func(n int) { _ = conn.Send(StartFrame, strconv.AppendInt(nil, int64(n), 10)) },
		Wrote:   func() { _ = conn.Send(WroteFrame, nil) },
	})
	if logErr := restore(); logErr != nil {
		return nil, fmt.Errorf("send the log: %w", logErr)
	}
	var exit *sandbox.ExitError
	var limit *sandbox.LimitError
	switch {
	case err == nil:
		return &Result{Done: true}, nil
	case errors.As(err, &exit):
		return &Result{Command: exit.Command, Code: exit.Code, Signal: exit.Signal}, nil
	case errors.As(err, &limit):
		return &Result{Limit: limit.Limit, What: limit.What}, nil
	}
	return &Result{Setup: err.Error()}, nil
}

func fill(folder, packed string) error {
	file, err := os.Open(filepath.Join(packed, Packed))
	if err != nil {
		return err
	}
	defer file.Close()
	return Unpack(file, folder, Bounds{})
}

// capture makes everything that is printed from now on go to w. The function it
// returns ends that when all of it is written; no command may run then.
func capture(w io.Writer) (func() error, error) {
	r, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		return nil, err
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(pipe.Fd()), fd, 0); err != nil {
			return nil, err
		}
	}
	pipe.Close()
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(w, r, make([]byte, pieceSize))
		done <- err
	}()
	return func() error {
		for _, fd := range []int{1, 2} {
			if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
				return err
			}
		}
		return <-done
	}, nil
}

// sendBack sends the result and the folders.
func (o *Order) sendBack(conn *Conn, result *Result) error {
	if err := conn.SendJSON(ResultFrame, result); err != nil {
		return err
	}
	folders := []struct {
		kind Kind
		path string
		sent bool
	}{
		{DestFrame, o.Dest, result.Done || result.Failed()},
		{BuildFrame, o.Build, result.Failed()},
	}
	for _, f := range folders {
		if f.path == "" || !f.sent {
			continue
		}
		if err := Pack(f.path, writer{conn, f.kind}, Exact); err != nil {
			return fmt.Errorf("pack %s: %w", f.path, err)
		}
		if err := conn.Send(f.kind, nil); err != nil {
			return err
		}
	}
	return nil
}
