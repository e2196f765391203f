package cli

import (
	"fmt"
	"io"
	"time"

	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoPublish(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "publish DIR", Short: "Make everything added visible at once, and renew signatures", Args: cobra.ExactArgs(1),
		Long: `Makes everything added visible to clients, all at once. Signatures that are past
half of their life are renewed, so a daily publish keeps a repository fresh; if
there is nothing to do, nothing is written.`,
		Example: `  pkgtool repo publish build/repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			p, err := r.Publish(cmd.Context())
			if err != nil {
				return err
			}
			app.warnAll(p.Warnings)
			return app.Print(map[string]any{"schema": 1, "publication": p}, func(w io.Writer) {
				what := "published"
				if !p.Changed {
					what = "nothing to publish"
				}
				fmt.Fprintf(w, "%s: version %d, %d packages, good until %s\n", what, p.Version, p.Packages, p.Expires.Format(time.RFC3339))
			})
		},
	}
}
