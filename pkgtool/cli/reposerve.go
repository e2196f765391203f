package cli

import (
	"fmt"
	"io"
	"net"

	"ashlar/pkgtool/fault"
	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoServe(app *App) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use: "serve DIR", Short: "Serve a repository over HTTP, read-only, until interrupted", Args: cobra.ExactArgs(1),
		Long: `Serves the published files of a repository, and nothing else of the folder. The
first line on stdout is the URL; with port 0 the system chooses one. Each
request is a line on stderr unless --quiet. Any other web server does as well:
the files need none of this program.`,
		Example: `  pkgtool repo serve build/repo --listen 127.0.0.1:0
  pkgtool repo serve build/repo --listen :8080`,
		RunE: func(cmd *cobra.Command, args []string) error {
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				return fault.Mark(fmt.Errorf("serve %s: %w", args[0], err), fault.Network, "choose another address with --listen")
			}
			defer listener.Close()
			url := "http://" + listener.Addr().String()
			if err := app.Print(map[string]any{"schema": 1, "url": url}, func(w io.Writer) { fmt.Fprintln(w, url) }); err != nil {
				return err
			}
			log := app.Err
			if app.Quiet {
				log = nil
			}
			return repo.Serve(cmd.Context(), args[0], listener, log)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address and port")
	return cmd
}
