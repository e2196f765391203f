package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoTrust(app *App) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "trust DIR", Short: "Print the root of trust that clients of a repository pin", Args: cobra.ExactArgs(1),
		Long: `Prints the repository's root metadata. A system that has it as
/etc/pkgtool/trust/NAME/root.json trusts the repository that it defines as NAME
in /etc/pkgtool/repositories.d. Bring it there by a way that you trust; the
sha256 on stderr lets two people compare what they have.`,
		Example: `  pkgtool repo trust build/repo > root.json
  pkgtool repo trust build/repo -o /etc/pkgtool/trust/example/root.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			root, err := repo.ReadRoot(args[0])
			if err != nil {
				return err
			}
			sum := sha256.Sum256(root.Data)
			fingerprint := hex.EncodeToString(sum[:])
			app.Say("root version %d, expires %s, sha256 %s", root.Version, root.Expires.Format(time.DateOnly), fingerprint)
			if out != "" {
				if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
					return err
				}
				if err := durable.WriteFile(out, root.Data, 0o644); err != nil {
					return err
				}
			}
			result := map[string]any{"schema": 1, "version": root.Version, "expires": root.Expires, "keys": root.Keys, "sha256": fingerprint, "root": string(root.Data)}
			return app.Print(result, func(w io.Writer) {
				if out == "" {
					w.Write(root.Data)
				}
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write it to this file")
	return cmd
}
