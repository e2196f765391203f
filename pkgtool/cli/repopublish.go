package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"ashlar/repo"
	"ashlar/repo/mirror"

	"github.com/spf13/cobra"
)

func repoPublish(app *App) *cobra.Command {
	var to []string
	cmd := &cobra.Command{
		Use: "publish DIR", Short: "Make everything added visible at once, and renew signatures", Args: cobra.ExactArgs(1),
		Long: `Makes everything added visible to clients, all at once. Signatures that are past
half of their life are renewed, so a daily publish keeps a repository fresh; if
there is nothing to do, nothing is written.

With --to, which can be given several times, the published state is then copied to
another place, as repo mirror does: a folder, s3://BUCKET/PREFIX or oci://HOST/NAME. There it
becomes visible all at once too.`,
		Example: `  pkgtool repo publish build/repo
  pkgtool repo publish build/repo --to /srv/www/repo`,
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
			copies, err := app.copyTo(cmd.Context(), args[0], to)
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "publication": p, "copies": copies}, func(w io.Writer) {
				what := "published"
				if !p.Changed {
					what = "nothing to publish"
				}
				fmt.Fprintf(w, "%s: version %d, %d packages, good until %s\n", what, p.Version, p.Packages, p.Expires.Format(time.RFC3339))
				for i, c := range copies {
					fmt.Fprintf(w, "%s shows version %d: %d of %d objects were transferred\n", to[i], c.Version, c.Fetched, c.Objects)
				}
			})
		},
	}
	cmd.Flags().StringArrayVar(&to, "to", nil, "place to copy the published state to; may be given several times")
	return cmd
}

// copyTo copies a published state to other places, one after the other.
func (a *App) copyTo(ctx context.Context, dir string, places []string) ([]*mirror.Result, error) {
	copies := []*mirror.Result{}
	for _, to := range places {
		c, err := a.pushTo(ctx, dir, to)
		if err != nil {
			return nil, fmt.Errorf("published, but not copied to %s: %w", to, err)
		}
		copies = append(copies, c)
	}
	return copies, nil
}
