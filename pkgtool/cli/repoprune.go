package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoPrune(app *App) *cobra.Command {
	var o repo.PruneOptions
	var grace string
	cmd := &cobra.Command{
		Use: "prune DIR", Short: "Remove files that no client can need any more", Args: cobra.ExactArgs(1),
		Long: `Removes packages, indexes and metadata that are needed neither by what is
published, nor by what was within the grace period, nor by what waits to be published, a
stage, or a lock file that is kept (repo lock). Root metadata stays for ever.

With --keep N all but the N newest versions of each package leave the channels.
They, and superseded packages whose grace period is over, stay to be found until
the next publish; their files go when no client can know of them any more.`,
		Example: `  pkgtool repo prune --dry-run /srv/repo
  pkgtool repo prune --keep 3 --grace 60d /srv/repo && pkgtool repo publish /srv/repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Keep < 0 {
				return fault.Errorf(fault.Usage, "--keep is negative")
			}
			if grace != "" {
				var err error
				if o.Grace, err = parseDays(grace); err != nil {
					return fault.Mark(fmt.Errorf("--grace: %w", err), fault.Usage, "")
				}
			}
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			p, err := r.Prune(cmd.Context(), o)
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "dry_run": o.DryRun, "pruned": p}, func(w io.Writer) { printPruned(w, p, o.DryRun, app.Verbose) })
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Keep, "keep", 0, "versions of each package that stay in a channel (default: all)")
	f.StringVar(&grace, "grace", "", fmt.Sprintf("how long what clients could see stays, such as 30d or 12h (default: the repository's, %dd)", repo.DefaultGrace))
	f.BoolVar(&o.DryRun, "dry-run", false, "tell what would be removed, and change nothing")
	return cmd
}

func printPruned(w io.Writer, p *repo.Pruned, dry, verbose bool) {
	for _, e := range p.Removed {
		fmt.Fprintf(w, "%s leaves its channel with the next publish\n", e.ID())
	}
	for _, e := range p.Forgotten {
		fmt.Fprintf(w, "%s cannot be found any more after the next publish\n", e.ID())
	}
	if dry || verbose {
		for _, file := range p.Files {
			fmt.Fprintln(w, file)
		}
	}
	what := "removed"
	if dry {
		what = "would remove"
	}
	fmt.Fprintf(w, "%s %d files, %d bytes; %d files are needed\n", what, len(p.Files), p.Bytes, p.Kept)
}

func repoLock(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "lock", Short: "Keep the packages that lock files name",
		Long: `Packages that a kept lock file names are never pruned, and systems find them with
pkgtool sync FILE also when the channel does not list them any more.`,
		Example: `  pkgtool repo lock add /srv/repo production.lock
  pkgtool repo lock list /srv/repo
  pkgtool repo lock drop /srv/repo production.lock`,
	}
	cmd.AddCommand(repoLockAdd(app), repoLockList(app), repoLockDrop(app))
	return cmd
}

func repoLockAdd(app *App) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "add DIR FILE", Short: "Keep a lock file, in place of one of the same name", Args: cobra.ExactArgs(2),
		Example: `  pkgtool repo lock add /srv/repo production.lock --name production-2026-03`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			data, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			if name == "" {
				name = filepath.Base(args[1])
			}
			held, err := r.HoldLock(cmd.Context(), name, data)
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "lock": held}, func(w io.Writer) { printHeld(w, held) })
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name to keep it under (default: the file's)")
	return cmd
}

func printHeld(w io.Writer, h *repo.Held) {
	fmt.Fprintf(w, "%s: %d packages", h.Name, h.Packages)
	if len(h.Missing) > 0 {
		fmt.Fprintf(w, ", of which this repository does not list %s", strings.Join(h.Missing, ", "))
	}
	fmt.Fprintln(w)
}

func repoLockList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list DIR", Short: "List the lock files that are kept", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			all, err := r.Locks()
			if err != nil {
				return err
			}
			if all == nil {
				all = []repo.Held{}
			}
			return app.Print(map[string]any{"schema": 1, "locks": all}, func(w io.Writer) {
				for i := range all {
					printHeld(w, &all[i])
				}
			})
		},
	}
}

func repoLockDrop(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "drop DIR NAME", Short: "Do not keep a lock file any longer", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			if err := r.ReleaseLock(cmd.Context(), args[1]); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "dropped": args[1]}, func(w io.Writer) { fmt.Fprintf(w, "lock %s is not kept any longer\n", args[1]) })
		},
	}
}
