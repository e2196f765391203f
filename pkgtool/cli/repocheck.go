package cli

import (
	"fmt"
	"io"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoCheck(app *App) *cobra.Command {
	var options repo.CheckOptions
	cmd := &cobra.Command{
		Use: "check DIR", Short: "Verify a whole repository, every package included, and list all that is wrong", Args: cobra.ExactArgs(1),
		Long: `Verifies a repository, or a copy of one, as a client with an empty cache would:
signatures, expiry, hashes, indexes, and every package completely. Needs no key.
Exits with 4 if anything is wrong.

With --quick the content of packages is not read, only whether each is there and
has the right size.`,
		Example: `  pkgtool repo check /srv/mirror/example
  pkgtool repo check --quick /srv/repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := repo.CheckWith(cmd.Context(), args[0], time.Now(), options)
			if err != nil {
				return err
			}
			err = app.Print(map[string]any{"schema": 1, "packages": report.Packages, "bytes": report.Bytes, "problems": report.Problems}, func(w io.Writer) {
				for _, p := range report.Problems {
					fmt.Fprintln(w, p)
				}
				if len(report.Problems) == 0 {
					fmt.Fprintf(w, "good: %d packages, %d bytes\n", report.Packages, report.Bytes)
				}
			})
			if err == nil && len(report.Problems) > 0 {
				err = fault.Errorf(fault.Security, "%s has %d problems", args[0], len(report.Problems))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&options.Quick, "quick", false, "do not read the packages")
	return cmd
}
