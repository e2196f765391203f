package cli

import (
	"fmt"
	"io"

	"ashlar/repo/web"

	"github.com/spf13/cobra"
)

func repoWeb(app *App) *cobra.Command {
	var out, url string
	cmd := &cobra.Command{
		Use: "web DIR", Short: "Write the web page of a repository as files, for any web server", Args: cobra.ExactArgs(1),
		Long: `Writes the page that repo serve shows as files, for a web server that runs no
program: all of it but the search and health.json. Let the server find index.html
in folders. The folder of an earlier run is replaced all at once; run it after
each publication. It needs no key, and works for a mirror as well.`,
		Example: `  pkgtool repo web /srv/repo --output /srv/www --url https://packages.example.org/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := web.Export(cmd.Context(), args[0], out, web.Options{URL: url})
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "folder": out, "files": files}, func(w io.Writer) {
				fmt.Fprintf(w, "%d files in %s\n", files, out)
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "folder for the pages")
	cmd.Flags().StringVar(&url, "url", "", "where systems will reach the repository, for the commands that the page shows")
	cmd.MarkFlagRequired("output")
	cmd.MarkFlagRequired("url")
	cmd.MarkFlagDirname("output")
	return cmd
}
