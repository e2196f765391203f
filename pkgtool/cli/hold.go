package cli

import (
	"fmt"
	"io"

	"ashlar/pkgtool/install"

	"github.com/spf13/cobra"
)

func holdCommand(app *App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "hold [NAME...]", Short: "Keep packages as they are, or list those that are kept",
		Long: `Keep packages in the version that is installed, or absent if they are not
installed. Nothing changes them then, until pkgtool unhold. Without names, list
what is held. The list is /etc/pkgtool/holds.yaml and belongs to you: edit it if you
like (docs/formats/lock.md).`,
		Example:           "  pkgtool hold --reason 'waits for the driver' linux\n  pkgtool hold --json",
		ValidArgsFunction: app.completeInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			var added []string
			if len(args) > 0 {
				session, err := install.Open(install.Options{Root: app.Root, Offline: true})
				if err != nil {
					return err
				}
				defer session.Close()
				if added, err = session.Hold(cmd.Context(), args, reason); err != nil {
					return err
				}
			}
			holds, err := install.ReadHolds(app.Root)
			if err != nil {
				return err
			}
			return app.printHolds(holds, added, "held", len(args) == 0)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever meets the hold later")
	return cmd
}

func unholdCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "unhold NAME...", Short: "Let held packages change again", Args: cobra.MinimumNArgs(1),
		Example: "  pkgtool unhold linux",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			holds, _ := install.ReadHolds(app.Root)
			var names []string
			for _, h := range holds {
				names = append(names, h.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			removed, err := install.Unhold(app.Root, args)
			if err != nil {
				return err
			}
			holds, err := install.ReadHolds(app.Root)
			if err != nil {
				return err
			}
			return app.printHolds(holds, removed, "no longer held", false)
		},
	}
}

// printHolds prints what changed, or the whole list.
func (a *App) printHolds(holds []install.Hold, changed []string, verb string, list bool) error {
	if holds == nil {
		holds = []install.Hold{}
	}
	if changed == nil {
		changed = []string{}
	}
	return a.Print(map[string]any{"schema": 1, "holds": holds, "changed": changed}, func(w io.Writer) {
		for _, name := range changed {
			fmt.Fprintf(w, "%s: %s\n", verb, name)
		}
		if !list && len(changed) == 0 {
			fmt.Fprintln(w, "nothing to do")
		}
		for _, h := range holds {
			switch {
			case !list:
			case h.Reason == "":
				fmt.Fprintln(w, h.Name)
			default:
				fmt.Fprintf(w, "%s  (%s)\n", h.Name, printable(h.Reason))
			}
		}
	})
}
