package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver/cases"

	"github.com/spf13/cobra"
)

// solveCommands answer questions about packages without a system.
func solveCommands(app *App) []*cobra.Command {
	return []*cobra.Command{solveCommand(app)}
}

type solveOptions struct {
	checkAll bool
	explain  bool
	arch     string
	timeout  time.Duration
}

func solveCommand(app *App) *cobra.Command {
	var opts solveOptions
	cmd := &cobra.Command{
		Use: "solve CASE", Short: "Answer a solver case: a request and a universe of packages, in files", Args: cobra.ExactArgs(1),
		Long: `Answer a solver case without a system: for bug reports, for tests, for comparing
solvers. CASE is a JSON file that names a universe, one package per line, and a
request; docs/formats/solver-case.md specifies both. Every install can write one
with --save-case DIR.

The answer is a JSON document on stdout; --explain prints it in words instead. The
exit code is 0 for a solution, 3 if there is none, 1 if the time was up, and 2 if a
file is wrong.

With --check-all the argument is a universe, and the answer lists the packages that
cannot be installed, even on an empty system; the exit code is then 0.`,
		Example: "  pkgtool solve case.json | jq -r '.install[].name'\n  pkgtool solve --explain --timeout 10s case.json\n  pkgtool solve --check-all --arch x86_64 universe.jsonl",
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.timeout < 0 {
				return fault.Errorf(fault.Usage, "the timeout %s is negative", opts.timeout)
			}
			if opts.checkAll {
				return app.checkAll(cmd.Context(), args[0], &opts)
			}
			return app.solve(cmd.Context(), args[0], &opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.explain, "explain", false, "print the answer in words")
	flags.BoolVar(&opts.checkAll, "check-all", false, "list the packages of a universe that cannot be installed")
	flags.StringVar(&opts.arch, "arch", "", "with --check-all: leave out packages for other machines")
	flags.DurationVar(&opts.timeout, "timeout", time.Minute, "the longest that it may take; 0 is no limit")
	return cmd
}

func (a *App) solve(ctx context.Context, path string, opts *solveOptions) error {
	c, err := cases.Read(path)
	if err != nil {
		return err
	}
	r, err := c.Solve(ctx, opts.timeout)
	if err != nil {
		return err
	}
	if err := a.answer(r, opts.explain, func(w io.Writer) {
		for _, note := range r.Notes {
			fmt.Fprintln(w, "note:", note)
		}
		fmt.Fprintln(w, r.Explanation)
		for _, remedy := range r.Remedies {
			fmt.Fprintln(w, "  try:", remedy)
		}
	}); err != nil {
		return err
	}
	switch r.Status {
	case cases.Unsatisfiable:
		return fault.Errorf(fault.Unsolvable, "no set of packages fulfils the request of %s", path)
	case cases.TimedOut:
		return fault.Errorf(fault.Failed, "the time of %s was up before there was an answer", opts.timeout)
	}
	return nil
}

func (a *App) checkAll(ctx context.Context, path string, opts *solveOptions) error {
	if opts.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opts.timeout)
		defer cancel()
	}
	checked, err := cases.CheckAll(ctx, path, opts.arch)
	if err != nil {
		return err
	}
	return a.answer(checked, opts.explain, func(w io.Writer) {
		for _, bad := range checked.Uninstallable {
			fmt.Fprintf(w, "%s %s cannot be installed: %s\n", bad.Name, bad.EVR, strings.Join(bad.Reasons, ", and "))
		}
		fmt.Fprintf(w, "%d of %d packages cannot be installed\n", len(checked.Uninstallable), checked.Packages)
	})
}

// answer prints JSON unless words are wanted.
func (a *App) answer(v any, words bool, human func(io.Writer)) error {
	printer := *a
	printer.JSON = a.JSON || !words
	return printer.Print(v, human)
}
