package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"

	"github.com/spf13/cobra"
)

func usagef(hint, format string, args ...any) error {
	return fault.Mark(fmt.Errorf(format, args...), fault.Usage, hint)
}

func repoSign(app *App) *cobra.Command {
	var keys []string
	var yes, show bool
	cmd := &cobra.Command{
		Use: "sign FILE", Short: "Sign what a publisher wrote for a key that is kept elsewhere", Args: cobra.ExactArgs(1),
		Long: `When publish needs a key that is not at hand, it writes what is to be signed into
.ashlar/signing/ROLE.json of the repository. Carry that file to the machine that
has the key, which needs no network; this command says in plain words what would
change, asks, and signs. Bring the file back to its place, and publish again.
Where several keys must sign, carry it from one to the next, or carry a copy to
each and publish after each came back.

Keys are looked for in $ASHLAR_KEYS/repositories/NAME; --key names others. Sign
nothing that you did not expect: whoever has broken into the publishing machine
can write such a file, and cannot sign it.`,
		Example: `  pkgtool repo sign root.json
  pkgtool repo sign --key /media/stick/targets.pem targets.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := repo.OpenDraft(args[0])
			if err != nil {
				return err
			}
			changes := d.Changes()
			if !app.JSON {
				fmt.Fprintf(screen{app.Err}, "%s of repository %s:\n", d.Role, d.Repository)
				for _, line := range changes {
					fmt.Fprintf(screen{app.Err}, "  %s\n", line)
				}
			}
			var used []string
			if !show {
				signers, err := signingKeys(d, keys)
				if err != nil {
					return err
				}
				if used, err = d.Sign(signers...); err != nil {
					return err
				}
				if err := app.confirm(yes); err != nil {
					return err
				}
				if err := d.Write(args[0]); err != nil {
					return err
				}
			}
			needs := d.Needs()
			result := map[string]any{"schema": 1, "repository": d.Repository, "role": d.Role, "changes": changes, "signed_by": append([]string{}, used...), "needs": needs}
			return app.Print(result, func(w io.Writer) {
				for _, id := range used {
					fmt.Fprintf(w, "signed with %s\n", id)
				}
				if len(needs) == 0 {
					fmt.Fprintln(w, "complete: bring it back and publish")
					return
				}
				fmt.Fprintln(w, "still needed:")
				printNeeds(w, needs)
			})
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "file of a private key (repeatable)")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&show, "show", false, "only say what it is")
	cmd.MarkFlagFilename("key", "pem")
	return cmd
}

// signingKeys reads the keys that were named, else those of the repository that
// are at hand.
func signingKeys(d *repo.Draft, files []string) ([]*repo.RoleKey, error) {
	if len(files) == 0 {
		var err error
		if files, err = filepath.Glob(filepath.Join(repo.KeyFolder(repoOptions().Keys, d.Repository), "*.pem")); err != nil {
			return nil, err
		}
	}
	var keys []*repo.RoleKey
	for _, file := range files {
		key, err := repo.ReadRoleKey(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func repoResign(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "resign DIR", Short: "Renew every signature now, however fresh it is", Args: cobra.ExactArgs(1),
		Long: `Signs all metadata anew with the keys at hand, and publishes. For keys that are
elsewhere it writes what they are to sign (see pkgtool repo sign --help). Use it
before you take keys offline for long, and after somebody else had a key.`,
		Example: `  pkgtool repo resign /srv/repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			p, err := r.Resign(cmd.Context())
			if err != nil {
				return err
			}
			app.warnAll(p.Warnings)
			return app.Print(map[string]any{"schema": 1, "publication": p}, func(w io.Writer) {
				fmt.Fprintf(w, "signed anew: version %d, good until %s\n", p.Version, p.Expires.Format(time.RFC3339))
			})
		},
	}
}
