package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoStage(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "stage", Short: "Collect packages that become visible together",
		Long: `A stage is a set of packages that nobody sees before it is promoted as a whole
(repo promote --stage): all that is rebuilt for a new library, say. It is complete when
the packages that it is expected to hold are there, and when nothing of the
channel that it goes to becomes uninstallable.`,
		Example: `  pkgtool repo stage add build/repo icu-74 --expect icu,boost,postgresql icu-74.1.0-1.x86_64.ashlar
  pkgtool repo stage show build/repo icu-74
  pkgtool repo promote build/repo --stage icu-74 --to testing`,
	}
	cmd.AddCommand(stageAdd(app), stageList(app), stageShow(app), stageDrop(app))
	return cmd
}

func stageAdd(app *App) *cobra.Command {
	var expect []string
	cmd := &cobra.Command{
		Use: "add DIR NAME [PACKAGE...]", Short: "Verify packages and take them into a stage", Args: cobra.MinimumNArgs(2),
		Long: `Takes packages into a stage and makes the stage if there is none. Another build of
the same release takes the place of the first. --expect replaces the list of
names without which the stage is not complete.`,
		Example: `  pkgtool repo stage add build/repo icu-74 --expect icu,boost build/packages/*.ashlar`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && !cmd.Flags().Changed("expect") {
				return fault.Errorf(fault.Usage, "name packages to take in, or what to --expect")
			}
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("expect") {
				expect = nil
			} else if expect == nil {
				expect = []string{}
			}
			s, err := r.AddToStage(cmd.Context(), args[1], expect, args[2:]...)
			if err != nil {
				return err
			}
			return app.printStage(s)
		},
	}
	cmd.Flags().StringSliceVar(&expect, "expect", nil, "names of the packages that it has to hold")
	return cmd
}

func (a *App) printStage(s *repo.Stage) error {
	missing := s.Missing()
	if missing == nil {
		missing = []string{}
	}
	return a.Print(map[string]any{"schema": 1, "stage": s, "missing": missing}, func(w io.Writer) {
		for _, e := range s.Packages {
			fmt.Fprintln(w, e.ID())
		}
		if len(missing) > 0 {
			fmt.Fprintf(w, "missing: %s\n", strings.Join(missing, ", "))
		}
	})
}

func stageList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list DIR", Short: "List the stages of a repository", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			all, err := r.Stages()
			if err != nil {
				return err
			}
			if all == nil {
				all = []*repo.Stage{}
			}
			return app.Print(map[string]any{"schema": 1, "stages": all}, func(w io.Writer) {
				for _, s := range all {
					fmt.Fprintf(w, "%-20s %d packages, %d missing\n", s.Name, len(s.Packages), len(s.Missing()))
				}
			})
		},
	}
}

func stageShow(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "show DIR NAME", Short: "Show what a stage holds and what it lacks", Args: cobra.ExactArgs(2), ValidArgsFunction: completeStage,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			all, err := r.Stages()
			if err != nil {
				return err
			}
			at := slices.IndexFunc(all, func(s *repo.Stage) bool { return s.Name == args[1] })
			if at < 0 {
				return fault.Mark(fmt.Errorf("there is no stage %q", args[1]), fault.Usage, "list them with: pkgtool repo stage list "+args[0])
			}
			return app.printStage(all[at])
		},
	}
}

func stageDrop(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "drop DIR NAME", Short: "Forget a stage; repo prune removes its packages", Args: cobra.ExactArgs(2), ValidArgsFunction: completeStage,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			if err := r.DropStage(cmd.Context(), args[1]); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "dropped": args[1]}, func(w io.Writer) { fmt.Fprintf(w, "stage %s is dropped\n", args[1]) })
		},
	}
}

func completeStage(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return nil, cobra.ShellCompDirectiveFilterDirs
	case 1:
		var names []string
		if r, err := repo.Open(args[0], repo.Options{}); err == nil {
			all, _ := r.Stages()
			for _, s := range all {
				names = append(names, s.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
