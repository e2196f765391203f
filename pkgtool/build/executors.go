package build

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
)

// ExecutorOptions are what executors on other machines may need.
type ExecutorOptions struct {
	Addresses []string // of the machines
	CA        string   // file in PEM: who may be such a machine
	Cert, Key string   // files in PEM: who we are
	Cache     string   // a folder for what can be made again

	// Report is told what a person may want to know, as a line; may be nil.
	Report func(text string)
}

// SlottedExecutor is one on other machines: it runs so many works at a time, on
// none of this host's cores.
type SlottedExecutor interface {
	Executor
	io.Closer
	Slots() int
}

var executors = map[string]func(ExecutorOptions) (SlottedExecutor, error){}

// FarmExecutor is the name under which package buildkit registers itself, in
// programs that have it.
const FarmExecutor = "buildkit"

// RegisterExecutor adds a kind of executor. Programs call it while they start.
func RegisterExecutor(name string, open func(ExecutorOptions) (SlottedExecutor, error)) {
	executors[name] = open
}

// OpenExecutor opens an executor by its name. Close it.
func OpenExecutor(name string, o ExecutorOptions) (SlottedExecutor, error) {
	open := executors[name]
	if open == nil && name == FarmExecutor {
		return nil, fault.Mark(errors.New("this program cannot build on a farm"), fault.Usage,
			"install the package pkgtool-buildkit; beside a pkgtool of your own, `go build -o pkgtool-buildkit ./pkgtool/farm` is enough")
	}
	if open == nil {
		known := append([]string{"local", FarmExecutor}, slices.Sorted(maps.Keys(executors))...)
		slices.Sort(known)
		return nil, fault.Mark(fmt.Errorf("there is no executor %q", name), fault.Usage, "use one of "+strings.Join(slices.Compact(known), ", "))
	}
	return open(o)
}
