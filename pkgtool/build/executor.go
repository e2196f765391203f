package build

import (
	"context"
	"io"

	"ashlar/pkgtool/build/sandbox"
)

// Executor runs the commands of builds. Whatever runs them, the same work
// leaves the same bytes in the folders.
type Executor interface {
	// Run runs the commands of w one after the other, without network; the
	// first failure ends it, as *sandbox.ExitError or *sandbox.LimitError.
	Run(ctx context.Context, w *Work) error
}

// Work is one run of commands over a root of packages: a build, what follows
// it, or a test.
type Work struct {
	Recipe string
	Action string  // key of the action it is for
	Root   []Layer // topmost first

	// Folders of the host, and where commands see them; "" is not there.
	Build   string // /build, writable
	Dest    string // /dest, writable
	Sources string // /sources
	Files   string // /recipe
	Scratch string // for what is written elsewhere; lost at the end

	Commands []sandbox.Command
	Env      []string // NAME=value
	Limits   sandbox.Limits
	Log      io.Writer
	Jobs     int // cores it may use

	// Started is told the number of each command, from 0, as it starts; from 0
	// again where an executor begins anew. May be nil.
	Started func(n int)

	// Undone is set by Run when it failed and the folders are as they were before:
	// on another machine, what was done can be lost.
	Undone bool
}

// Where commands see the folders of a work.
const (
	BuildFolder   = buildFolder
	DestFolder    = destFolder
	SourcesFolder = sourcesFolder
	RecipeFolder  = recipeFolder
)

// Layer is a folder of a root: a package's files, or a layer of the seed.
type Layer struct {
	Name   string
	Digest string // of the files
	Dir    string // on the host; never written to
}

// Local is the executor of this host.
var Local Executor = local{}

// local runs work in a sandbox of this host.
type local struct{}

func (local) Run(ctx context.Context, w *Work) error { return sandbox.Run(ctx, w.spec()) }

// spec is the work as the sandbox of this host takes it.
func (w *Work) spec() sandbox.Spec {
	s := sandbox.Spec{Scratch: w.Scratch, Log: w.Log, Env: w.Env, Commands: w.Commands, Limits: w.Limits, Started: w.Started}
	for _, layer := range w.Root {
		s.Lower = append(s.Lower, layer.Dir)
	}
	for _, b := range []sandbox.Bind{
		{Source: w.Build, Target: buildFolder, Writable: true},
		{Source: w.Dest, Target: destFolder, Writable: true},
		{Source: w.Sources, Target: sourcesFolder},
		{Source: w.Files, Target: recipeFolder},
	} {
		if b.Source != "" {
			s.Binds = append(s.Binds, b)
		}
	}
	return s
}

// executor is what runs the commands: that of the engine, else this host.
func (e *Engine) executor() Executor {
	if e.Executor != nil {
		return e.Executor
	}
	return Local
}
