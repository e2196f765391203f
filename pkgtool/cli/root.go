// Package cli is the command line of pkgtool: one file per command group, each
// a thin layer over a function that a Go program could call.
//
// Results go to stdout; progress, messages and errors go to stderr. With --json
// a command prints its result as one JSON document on stdout, and a failure as
// one JSON object on stderr. Exit codes are those of package fault.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

// App is what every command shares: the three streams and the global flags.
type App struct {
	In       io.Reader
	Out, Err io.Writer
	JSON     bool   // --json
	Quiet    bool   // --quiet: no progress, no messages
	Verbose  bool   // --verbose
	Root     string // --root: the system to work on
}

// Print writes a command's result: v as JSON with --json, else what human writes.
func (a *App) Print(v any, human func(w io.Writer)) error {
	if !a.JSON {
		human(screen{a.Out})
		return nil
	}
	enc := json.NewEncoder(jsonText{a.Out})
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Say writes a message for a person to stderr, unless --quiet.
func (a *App) Say(format string, args ...any) {
	if !a.Quiet {
		fmt.Fprintf(screen{a.Err}, format+"\n", args...)
	}
}

// groups lists the command groups in the order that help shows them.
var groups = []struct {
	id, title string
	commands  []func(*App) []*cobra.Command
}{
	{"system", "Change a system:", []func(*App) []*cobra.Command{installCommands, installedCommands, loaderCommands, diskkeyCommands, configCommands, remoteCommands}},
	{"query", "Ask about a system:", []func(*App) []*cobra.Command{queryCommands, restartCommands, secureBootCommands}},
	{"publish", "Build and publish packages:", []func(*App) []*cobra.Command{
		buildCommands, cacheCommands, recipeCommands, sourceCommands, seedCommands, kernelCommands, pkgCommands, keyCommands, repoCommands, solveCommands}},
	{"image", "Make, start and install images:", []func(*App) []*cobra.Command{imageCommands, bootCommands, installerCommands, netbootCommands}},
}

// New returns the whole command tree.
func New(in io.Reader, out, errOut io.Writer) (*cobra.Command, *App) {
	app := &App{In: in, Out: out, Err: errOut}
	root := &cobra.Command{
		Use:           "pkgtool",
		Short:         "Build, sign, publish, install and update your own server Linux",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fault.Mark(err, fault.Usage, "see --help")
	})
	flags := root.PersistentFlags()
	flags.BoolVar(&app.JSON, "json", false, "print the result as JSON")
	flags.BoolVarP(&app.Quiet, "quiet", "q", false, "no progress and no messages")
	flags.BoolVarP(&app.Verbose, "verbose", "v", false, "say more about what is done")
	flags.StringVar(&app.Root, "root", "/", "work on the system in this folder")
	for _, group := range groups {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, commands := range group.commands {
			for _, cmd := range commands(app) {
				cmd.GroupID = group.id
				root.AddCommand(cmd)
			}
		}
	}
	return root, app
}

// Main runs the command line and returns the process's exit code.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // who asks twice does not want to wait
	root, app := New(in, out, errOut)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := fault.ClassOf(err)
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		code = fault.Interrupted
	}
	if wrongCall(err) {
		code = fault.Usage
	}
	app.printError(err, int(code))
	return int(code)
}

// wrongCall reports whether cobra refused the command line itself; its errors
// have no type of their own.
func wrongCall(err error) bool {
	return slices.ContainsFunc([]string{"unknown command", "unknown flag", "required flag", "accepts ", "requires at least "},
		func(prefix string) bool { return strings.HasPrefix(err.Error(), prefix) })
}

func (a *App) printError(err error, code int) {
	hints := fault.Hints(err)
	if a.JSON {
		json.NewEncoder(jsonText{a.Err}).Encode(map[string]any{"error": err.Error(), "hints": hints, "code": code})
		return
	}
	fmt.Fprintf(screen{a.Err}, "pkgtool: %v\n", err)
	for _, h := range hints {
		fmt.Fprintf(screen{a.Err}, "  try: %s\n", h)
	}
}
