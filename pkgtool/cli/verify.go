package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"

	"github.com/spf13/cobra"
)

func verifyCommand(app *App) *cobra.Command {
	var opts system.VerifyOptions
	var repair, offline bool
	cmd := &cobra.Command{
		Use: "verify [NAME...]", Short: "Compare installed files with what was installed, hash by hash", ValidArgsFunction: app.completeInstalled,
		Long: `Compare installed files with what was installed: types, contents, modes, and as root
owners. Edited configuration files are listed but are no fault. The exit code is 1
if something else differs.

--repair puts right what differs, as one transaction: from the store where it has
the content, else from the repositories. Edited configuration files stay.`,
		Example: `  pkgtool verify
  pkgtool verify openssh --repair
  pkgtool verify --quick`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Names = args
			if repair {
				return app.repair(cmd.Context(), opts, offline)
			}
			return app.withSystem(func(sys *system.System) error {
				problems, err := sys.Verify(cmd.Context(), opts)
				if err != nil {
					return err
				}
				return app.printProblems(problems, nil)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&repair, "repair", false, "put right what differs")
	flags.BoolVar(&opts.Store, "store", false, "check the content store too, with what earlier generations need")
	flags.BoolVar(&opts.Quick, "quick", false, "do not read files; compare type, size, mode and owner")
	flags.BoolVar(&offline, "offline", false, "with --repair: fetch nothing")
	return cmd
}

// faults are the problems that are no edited configuration.
func faults(problems []system.Problem) []system.Problem {
	return slices.DeleteFunc(slices.Clone(problems), func(p system.Problem) bool { return p.Config })
}

// printProblems prints what Verify found, and what was repaired if anything was.
func (a *App) printProblems(problems []system.Problem, result map[string]any) error {
	if problems == nil {
		problems = []system.Problem{}
	}
	document := map[string]any{"schema": 1, "problems": problems}
	for key, value := range result {
		document[key] = value
	}
	err := a.Print(document, func(w io.Writer) {
		for _, p := range problems {
			kind := ""
			if p.Config {
				kind = " (configuration)"
			}
			fmt.Fprintf(w, "%s: /%s: %s%s\n", p.Package, printable(p.Path), printable(p.What), kind)
		}
	})
	if n := len(faults(problems)); err == nil && n > 0 && result == nil {
		err = fault.Mark(fmt.Errorf("%d files differ from what was installed", n), fault.Failed, "pkgtool verify --repair")
	}
	return err
}

func (a *App) repair(ctx context.Context, opts system.VerifyOptions, offline bool) error {
	session, err := install.Open(install.Options{Root: a.Root, Command: os.Args, Offline: offline,
		Warn: func(err error) { a.Say("%s", printable(err.Error())) }})
	if err != nil {
		return err
	}
	defer session.Close()
	problems, number, err := session.Repair(ctx, opts, nil)
	if err != nil {
		return err
	}
	if len(faults(problems)) == 0 {
		return a.printProblems(problems, map[string]any{"repaired": false})
	}
	if err := a.printProblems(problems, map[string]any{"repaired": true, "generation": number}); err != nil {
		return err
	}
	a.Say("repaired; this is generation %d", number)
	return nil
}
