package cli

import (
	"fmt"
	"io"

	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoAdd(app *App) *cobra.Command {
	var channel string
	var publish, noUnpack bool
	cmd := &cobra.Command{
		Use: "add DIR PACKAGE...", Short: "Verify packages and take them in; clients see them after publish", Args: cobra.MinimumNArgs(2),
		Example: `  pkgtool repo add build/repo build/packages/*.ashlar
  pkgtool repo add --publish build/repo zlib-1.2.13-1.x86_64.ashlar`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o := repoOptions()
			o.NoUnpack = noUnpack
			r, err := repo.Open(args[0], o)
			if err != nil {
				return err
			}
			added, err := r.Add(cmd.Context(), channel, args[1:]...)
			if err != nil {
				return err
			}
			result := map[string]any{"schema": 1, "packages": added}
			if publish {
				p, err := r.Publish(cmd.Context())
				if err != nil {
					return err
				}
				app.warnAll(p.Warnings)
				result["publication"] = p
			}
			return app.Print(result, func(w io.Writer) {
				for _, a := range added {
					switch {
					case a.Unchanged:
						fmt.Fprintf(w, "%s is already in %s\n", a.ID(), channel)
					case a.Replaced != "":
						fmt.Fprintf(w, "%s replaces another build in %s\n", a.ID(), channel)
					default:
						fmt.Fprintf(w, "%s added to %s\n", a.ID(), channel)
					}
				}
			})
		},
	}
	cmd.Flags().StringVar(&channel, "channel", repo.DefaultChannel, "channel to add to")
	cmd.Flags().BoolVar(&publish, "publish", false, "publish afterwards")
	cmd.Flags().BoolVar(&noUnpack, "no-unpack", false, "verify signatures and hashes, but do not unpack to see that the content is what the manifest says")
	return cmd
}

func (a *App) warnAll(warnings []string) {
	for _, w := range warnings {
		a.Say("warning: %s", w)
	}
}

func repoList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list DIR", Short: "List the packages of a repository", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			list, err := r.List()
			if err != nil {
				return err
			}
			if list == nil {
				list = []repo.Listed{}
			}
			return app.Print(map[string]any{"schema": 1, "packages": list}, func(w io.Writer) {
				for _, p := range list {
					mark := ""
					if !p.Published {
						mark = "  (not published yet)"
					}
					fmt.Fprintf(w, "%-10s %s%s\n", p.Channel, p.ID(), mark)
				}
			})
		},
	}
}
