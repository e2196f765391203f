package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoDiff(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "diff DIR [A B]", Short: "Show how lists of packages differ: what publish will change, or two channels",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 3 {
				return fault.Errorf(fault.Usage, "accepts a repository, and two lists of packages or none")
			}
			return nil
		},
		Long: `Without A and B, shows what the next publish changes. Else shows how A becomes B,
where each is CHANNEL, CHANNEL@VERSION for the channel as it was in that
publication (repo status lists them), or either in another repository or copy as
FOLDER:CHANNEL. A line begins with + for a package that comes, - for one that goes, and
! for another build of the same release.`,
		Example: `  pkgtool repo diff /srv/repo
  pkgtool repo diff /srv/repo stable testing
  pkgtool repo diff /srv/repo stable@1767225600 stable
  pkgtool repo diff /srv/repo stable /srv/mirror:stable`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return app.diffPending(args[0])
			}
			a, err := repo.ReadList(args[0], args[1])
			if err != nil {
				return err
			}
			b, err := repo.ReadList(args[0], args[2])
			if err != nil {
				return err
			}
			d, err := repo.Compare(a, b)
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "difference": d}, func(w io.Writer) { printDifference(w, d, "") })
		},
	}
}

func (a *App) diffPending(dir string) error {
	r, err := repo.Open(dir, repoOptions())
	if err != nil {
		return err
	}
	channels, err := r.PendingDifferences()
	if err != nil {
		return err
	}
	return a.Print(map[string]any{"schema": 1, "channels": channels}, func(w io.Writer) {
		for _, name := range slices.Sorted(maps.Keys(channels)) {
			printDifference(w, channels[name], fmt.Sprintf("%-10s ", name))
		}
	})
}

func printDifference(w io.Writer, d *repo.Difference, prefix string) {
	for _, e := range d.Added {
		fmt.Fprintf(w, "%s+ %s\n", prefix, e.ID())
	}
	for _, e := range d.Removed {
		fmt.Fprintf(w, "%s- %s\n", prefix, e.ID())
	}
	for _, e := range d.Rebuilt {
		fmt.Fprintf(w, "%s! %s\n", prefix, e.ID())
	}
}
