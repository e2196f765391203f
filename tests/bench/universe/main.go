// Command universe turns Debian's package index into a universe of pkgtool's
// solver, and asks the solver many things in one process.
// One question, or whether every package can be installed, pkgtool solve answers itself.
//
//	universe convert PACKAGES >debian.jsonl          lines as pkgtool solve reads them
//	universe solve debian.jsonl REQUESTS             "ok" or "no" for each line of names
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/solver/cases"
	"ashlar/pkgtool/version"
	"ashlar/tests/bench/debian"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "universe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	switch {
	case len(args) == 2 && args[0] == "convert":
		return convert(args[1], out)
	case len(args) == 3 && args[0] == "solve":
		return solve(ctx, args[1], args[2], out)
	}
	return errors.New("want convert PACKAGES, or solve UNIVERSE REQUESTS")
}

func convert(index string, out *bufio.Writer) error {
	f, err := os.Open(index)
	if err != nil {
		return err
	}
	defer f.Close()
	lines, err := debian.Convert(f)
	if err != nil {
		return err
	}
	return debian.WriteLines(out, lines)
}

// load reads a universe and tells on stderr how long each part took.
func load(path string) (*solver.Universe, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start := time.Now()
	packages, err := cases.ReadUniverse(f)
	if err != nil {
		return nil, err
	}
	read := time.Now()
	u := solver.NewUniverse(packages)
	fmt.Fprintf(os.Stderr, "read %.3f index %.3f\n", read.Sub(start).Seconds(), time.Since(read).Seconds())
	return u, nil
}

const arch = "x86_64"

func solve(ctx context.Context, path, requests string, out *bufio.Writer) error {
	u, err := load(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(requests)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		request := solver.Request{Arch: arch, NoRecommends: true}
		for _, name := range strings.Fields(line) {
			d, err := version.ParseDependency(name)
			if err != nil {
				return err
			}
			request.Install = append(request.Install, d)
		}
		start := time.Now()
		solution, err := u.Solve(ctx, request)
		took := time.Since(start).Seconds()
		switch {
		case err == nil:
			fmt.Fprintf(out, "ok\t%.6f\t%d\n", took, len(solution.Install))
		case fault.ClassOf(err) == fault.Unsolvable:
			fmt.Fprintf(out, "no\t%.6f\t%s\n", took, strings.ReplaceAll(err.Error(), "\n", " "))
		default:
			return fmt.Errorf("request %s: %w", strings.TrimSpace(line), err)
		}
	}
	return out.Flush()
}
