package installer

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"ashlar/pkgtool/fault"
)

// LogFile is where an installation's log is on the installing system, and
// TargetLog where it is on the installed one.
const (
	LogFile   = "/run/ashlar/install.log"
	TargetLog = "var/log/ashlar-install.log"
)

// journal is the log of one installation: when each step began, what hooks
// printed, and how it ended.
type journal struct {
	file *os.File
	step string
}

// openJournal begins a log anew; without a name there is none.
func openJournal(name string) (*journal, error) {
	if name == "" {
		return &journal{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	// Hooks may print what is nobody's business.
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	return &journal{file: f}, err
}

func (j *journal) Write(p []byte) (int, error) {
	if j.file == nil {
		return len(p), nil
	}
	return j.file.Write(p)
}

func (j *journal) begin(step string) {
	j.step = step
	fmt.Fprintf(j, "%s %s\n", time.Now().UTC().Format(time.RFC3339), step)
}

// copyTo gives the target what has been written so far.
func (j *journal) copyTo(root *os.Root) error {
	if j.file == nil {
		return nil
	}
	if err := root.MkdirAll(path.Dir(TargetLog), 0o755); err != nil {
		return err
	}
	text, err := io.ReadAll(io.NewSectionReader(j.file, 0, 1<<30))
	if err != nil {
		return err
	}
	return root.WriteFile(TargetLog, text, 0o600)
}

// end closes the log, and makes a failure say where it happened and what to do.
func (j *journal) end(err error) error {
	if err != nil && j.step != "" {
		err = fault.Mark(fmt.Errorf("%s: %w", j.step, err), fault.ClassOf(err),
			"the disk does not start now; when the reason is gone, begin again with the same command, which starts from nothing")
		fmt.Fprintf(j, "%s failed: %v\n", time.Now().UTC().Format(time.RFC3339), err)
	}
	if j.file == nil {
		return err
	}
	if err != nil {
		err = fault.Mark(err, fault.ClassOf(err), "the log is in "+j.file.Name())
	}
	if e := j.file.Close(); err == nil {
		err = e
	}
	return err
}
