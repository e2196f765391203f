package cli

import (
	"fmt"
	"io"

	"ashlar/pkgtool/pkgfile"

	"github.com/spf13/cobra"
)

func pkgExtract(app *App) *cobra.Command {
	var into string
	cmd := &cobra.Command{
		Use: "extract FILE", Short: "Unpack a package into a new folder, for a look at it", Args: cobra.ExactArgs(1), ValidArgsFunction: completePackages(1),
		Long: `Verifies the content, not the signature. The files become yours, without setuid
bits, and the folder appears only if everything in it is good.`,
		Example: "  pkgtool pkg extract hello-1.0.0-1.noarch.ashlar -C look",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := pkgfile.OpenFile(args[0])
			if err != nil {
				return err
			}
			defer p.Close()
			if into == "" {
				m := p.Manifest()
				into = fmt.Sprintf("%s-%s-%d", m.Name, m.Version, m.Release)
			}
			if err := p.Extract(cmd.Context(), into); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "folder": into, "files": len(p.Manifest().Files)}, func(w io.Writer) {
				fmt.Fprintln(w, into)
			})
		},
	}
	cmd.Flags().StringVarP(&into, "into", "C", "", "folder to make (default NAME-VERSION-RELEASE here)")
	cmd.MarkFlagDirname("into")
	return cmd
}
