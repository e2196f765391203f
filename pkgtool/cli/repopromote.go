package cli

import (
	"fmt"
	"io"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/index"

	"github.com/spf13/cobra"
)

func repoRemove(app *App) *cobra.Command {
	var channel string
	var publish bool
	cmd := &cobra.Command{
		Use: "remove DIR PACKAGE...", Short: "Take packages out of a channel; clients see it after publish", Args: cobra.MinimumNArgs(2),
		Long: `Takes packages out of a channel: NAME for all versions, NAME@VERSION or
NAME@VERSION-RELEASE for one. Systems that have them keep them. The files stay in
the pool, where lock files find them, until repo prune removes them.`,
		Example: `  pkgtool repo remove build/repo zlib@1.2.13-1 && pkgtool repo publish build/repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			removed, err := r.Remove(cmd.Context(), channel, args[1:]...)
			if err != nil {
				return err
			}
			return app.decided(cmd, r, publish, "removed", removed, func(w io.Writer, e *index.Entry) {
				fmt.Fprintf(w, "%s removed from %s\n", e.ID(), channel)
			})
		},
	}
	cmd.Flags().StringVar(&channel, "channel", repo.DefaultChannel, "channel to remove from")
	cmd.Flags().BoolVar(&publish, "publish", false, "publish afterwards")
	return cmd
}

// decided publishes if that is wanted, and prints the packages that were decided on.
func (a *App) decided(cmd *cobra.Command, r *repo.Repository, publish bool, what string, entries []index.Entry, line func(io.Writer, *index.Entry)) error {
	if entries == nil {
		entries = []index.Entry{}
	}
	result := map[string]any{"schema": 1, what: entries}
	if publish {
		p, err := r.Publish(cmd.Context())
		if err != nil {
			return err
		}
		a.warnAll(p.Warnings)
		result["publication"] = p
	}
	return a.Print(result, func(w io.Writer) {
		for i := range entries {
			line(w, &entries[i])
		}
		if len(entries) == 0 {
			fmt.Fprintln(w, "nothing to do")
		}
	})
}

func repoPromote(app *App) *cobra.Command {
	var p repo.Promotion
	var publish bool
	cmd := &cobra.Command{
		Use: "promote DIR [PACKAGE...]", Short: "Bring packages of one channel, or of a stage, into another", Args: cobra.MinimumNArgs(1),
		Long: `Lists packages of channel --from in channel --to as well: those named (NAME for
its newest version, or NAME@VERSION), or everything newer than what is there. With --stage,
all packages of a stage; the stage must hold what it is expected to, and is
dropped then. All are taken or none, and clients see them after publish.

It is refused if a package of the channel could not be installed any more, or a new
one cannot be, by what the channel itself offers. The message names each and why.`,
		Example: `  pkgtool repo promote build/repo --from testing --to stable
  pkgtool repo promote build/repo --from testing --to stable zlib openssl@3.0.1
  pkgtool repo promote build/repo --stage gcc-14 --to testing --publish`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if p.From == "" && p.Stage == "" {
				return fault.Errorf(fault.Usage, "say where the packages come from: --from CHANNEL or --stage NAME")
			}
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			p.Specs = args[1:]
			brought, err := r.Promote(cmd.Context(), p)
			if err != nil {
				return err
			}
			return app.decided(cmd, r, publish, "promoted", brought, func(w io.Writer, e *index.Entry) {
				fmt.Fprintf(w, "%s promoted to %s\n", e.ID(), p.To)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.From, "from", "", "channel that they come from")
	f.StringVar(&p.Stage, "stage", "", "stage that they come from")
	f.StringVar(&p.To, "to", repo.DefaultChannel, "channel that they go to")
	f.BoolVar(&p.Incomplete, "incomplete", false, "also if packages cannot be installed then")
	f.BoolVar(&publish, "publish", false, "publish afterwards")
	return cmd
}
