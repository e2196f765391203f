package cli

import (
	"fmt"
	"io"
	"strings"

	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoDisallow(app *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "disallow DIR FINGERPRINT...", Short: "Take no more packages of a packager, and have clients refuse his old ones", Args: cobra.MinimumNArgs(2),
		Long: `Takes a packager's key out of those that may sign packages; clients learn of it
with the next publish. It refuses while packages are on offer that nobody else
has signed, and names them: clients could not install them any more. With --force
that is what happens, which is right when the key was stolen. Systems that have
such packages installed are told by pkgtool audit.`,
		Example: `  pkgtool repo packagers /srv/repo
  pkgtool repo disallow /srv/repo 0123456789ABCDEF0123456789ABCDEF01234567
  pkgtool repo publish /srv/repo`,
		ValidArgsFunction: completePackager,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			done, err := r.Disallow(cmd.Context(), force, args[1:]...)
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "disallowed": done}, func(w io.Writer) {
				fmt.Fprintln(w, strings.Join(done.Fingerprints, "\n"))
				for _, name := range done.Packages {
					fmt.Fprintf(w, "clients will refuse %s\n", name)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also if packages on offer are signed by nobody else")
	return cmd
}

func repoPackagers(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "packagers DIR", Short: "List whose packages a repository takes", Args: cobra.ExactArgs(1),
		Example: `  pkgtool repo packagers /srv/repo`,
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := packagersOf(args[0])
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "packagers": list}, func(w io.Writer) {
				for _, p := range list {
					fmt.Fprintf(w, "%s  %s\n", p.Fingerprint, printable(strings.Join(p.UserIDs, ", ")))
				}
			})
		},
	}
}

func packagersOf(dir string) ([]keyInfo, error) {
	r, err := repo.Open(dir, repoOptions())
	if err != nil {
		return nil, err
	}
	keys, err := r.Packagers()
	if err != nil {
		return nil, err
	}
	list := []keyInfo{}
	for _, key := range keys {
		list = append(list, keyInfo{Fingerprint: key.Fingerprint(), Created: key.Created(), UserIDs: key.UserIDs()})
	}
	return list, nil
}

func completePackager(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	list, err := packagersOf(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var found []string
	for _, p := range list {
		if strings.HasPrefix(p.Fingerprint, strings.ToUpper(toComplete)) {
			found = append(found, p.Fingerprint)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
