package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/tests/bench/measure"
)

const (
	sandboxArgument = "start-sandboxes" // makes of a call of this program sandboxes
	nothingArgument = "do-nothing"      // and the program in them
	sandboxes       = 20                // one after the other
	sandboxLayers   = 25                // of a root, as a recipe with some needs has
)

// sandboxCalls carries out the calls of this program that startSandbox makes,
// and ends the process; in any other call it does nothing.
func sandboxCalls() {
	sandbox.MaybeInit()
	switch {
	case len(os.Args) == 2 && os.Args[1] == nothingArgument:
		os.Exit(0)
	case len(os.Args) == 3 && os.Args[1] == sandboxArgument:
		if err := runSandboxes(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// runSandboxes starts sandboxes on the layers in dir, one after the other.
func runSandboxes(dir string) error {
	spec := sandbox.Spec{
		Scratch: filepath.Join(dir, "scratch"), Log: io.Discard,
		Binds:    []sandbox.Bind{{Source: filepath.Join(dir, "work"), Target: "/build", Writable: true}},
		Commands: []sandbox.Command{{Name: "nothing", Argv: []string{"/usr/bin/nothing", nothingArgument}}},
	}
	for i := range sandboxLayers {
		spec.Lower = append(spec.Lower, filepath.Join(dir, strconv.Itoa(i)))
	}
	for range sandboxes {
		if err := sandbox.Run(context.Background(), spec); err != nil {
			return err
		}
	}
	return nil
}

// startSandbox measures how long it takes until a command has run in a fresh
// sandbox and all is taken away again, beside the namespaces alone.
func (b *bench) startSandbox(ctx context.Context) error {
	mounted, err := b.mount(ctx, memory)
	if err != nil {
		return err
	}
	dir := filepath.Join(mounted, "sandbox")
	program, err := os.Executable()
	if err != nil {
		return err
	}
	folders := []string{"scratch", "work"}
	for i := range sandboxLayers {
		folders = append(folders, strconv.Itoa(i)+"/usr/bin")
	}
	inner := filepath.Join(dir, "0/usr/bin/nothing")
	outer := filepath.Join(dir, "bench")
	err = errors.Join(makeFiles(dir, nil, folders...), command(ctx, "cp", program, inner), command(ctx, "cp", program, outer),
		command(ctx, "chown", "-R", "65534:65534", filepath.Join(dir, "scratch"), filepath.Join(dir, "work")))
	if err != nil {
		return err
	}
	group := fmt.Sprintf("sandbox, %d times", sandboxes)
	ours := []string{outer, sandboxArgument, dir}
	goal := fmt.Sprint(0.1 * sandboxes)
	loop := fmt.Sprintf(`for i in $(seq %d); do unshare --user --map-root-user --mount --pid --fork --net --ipc --uts "$1" %s; done`, sandboxes, nothingArgument)
	err = b.group(ctx, group, []measure.Case{
		{Name: "namespaces alone, by unshare", Floor: true, Args: shell(loop, inner)},
		{Name: "ours, by root", Goal: goal, Args: ours},
		{Name: "ours, by an ordinary user", Goal: goal, Args: append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, ours...)},
	})
	for _, r := range b.report.Results {
		if r.Group == group && r.Problem == "" && !r.Floor {
			b.fact(group, r.Name, "100 ms", "%.1f ms for one", r.Median/sandboxes*1000)
		}
	}
	return errors.Join(err, remove(dir))
}
