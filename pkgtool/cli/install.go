package cli

import (
	"errors"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"

	"github.com/spf13/cobra"
)

// installCommands change what is installed.
func installCommands(app *App) []*cobra.Command {
	return []*cobra.Command{
		installCommand(app), removeCommand(app), upgradeCommand(app), autoupdateCommand(app), migrateCommand(app), downgradeCommand(app), reinstallCommand(app), autoremoveCommand(app),
		markCommand(app), syncCommand(app), lockCommand(app), holdCommand(app), unholdCommand(app),
	}
}

func installCommand(app *App) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "install NAME|FILE|URL...", Short: "Install packages and what they need, as one transaction", Args: cobra.MinimumNArgs(1),
		Long: `Install packages from the repositories in /etc/pkgtool/repositories.d, and package
files given by path or URL. A name can carry a condition on the version. @NAME stands
for the packages of a group; the groups are in /etc/pkgtool/groups.json.

A package file must be signed by a packager of a repository of this system, or by a
key of the keyring that --trust names.`,
		Example: `  pkgtool install nginx
  pkgtool install 'openssl ^3' zlib@1.3.1
  pkgtool install @containers
  pkgtool install --trust builders.asc ./hello-1.0.0-1.x86_64.ashlar
  pkgtool --root /srv/tree install --yes busybox`,
		ValidArgsFunction: app.completeAvailable,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.change(cmd.Context(), f, install.Request{Install: args})
		},
	}
	f.add(cmd)
	f.addFetching(cmd)
	cmd.Flags().StringVar(&f.trust, "trust", "", "file with the public keys whose package files to take")
	return cmd
}

func removeCommand(app *App) *cobra.Command {
	var f changeFlags
	var unneeded bool
	cmd := &cobra.Command{
		Use: "remove NAME...", Short: "Remove packages, as one transaction", Args: cobra.MinimumNArgs(1),
		Long: `Remove packages. What needs them goes too, after a question. Configuration files
that were edited stay. NAME@VERSION removes one build of several.`,
		Example:           "  pkgtool remove nginx\n  pkgtool remove --unneeded nginx\n  pkgtool remove linux@6.12.8-1",
		ValidArgsFunction: app.completeInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.change(cmd.Context(), f, install.Request{Remove: args, Autoremove: unneeded})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&unneeded, "unneeded", false, "also remove what was installed for others' sake and is needed no more")
	return cmd
}

func upgradeCommand(app *App) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "upgrade [NAME...]", Short: "Bring packages up to date, all if none is named, as one transaction",
		Long: `Bring packages up to date. Newer packages that do not fit what is installed are
listed with the reason and left out; the exit code is then 6. Those that you hold
(see pkgtool hold) are listed too, but are no failure.

A new kernel is put beside the others. The newest three stay, and the running one.`,
		Example:           "  pkgtool upgrade\n  pkgtool upgrade openssl\n  pkgtool upgrade --download-only && pkgtool upgrade --offline",
		ValidArgsFunction: app.completeInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.change(cmd.Context(), f, install.Request{Upgrade: args, UpgradeAll: len(args) == 0})
		},
	}
	f.add(cmd)
	f.addFetching(cmd)
	return cmd
}

func downgradeCommand(app *App) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "downgrade NAME[@VERSION]...", Short: "Go back to an older version of packages", Args: cobra.MinimumNArgs(1),
		Long: `Go back to the build on offer that comes before the installed one, or to the one
that is named. To take back a whole transaction, see pkgtool rollback. A later
upgrade brings the newer version again unless it is held.`,
		Example:           "  pkgtool downgrade nginx\n  pkgtool downgrade nginx@1.27.2-1 && pkgtool hold nginx",
		ValidArgsFunction: app.completeInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.change(cmd.Context(), f, install.Request{Downgrade: args})
		},
	}
	f.add(cmd)
	f.addFetching(cmd)
	return cmd
}

func reinstallCommand(app *App) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "reinstall NAME...", Short: "Restore every file of packages as it was packaged", Args: cobra.MinimumNArgs(1),
		Long: `Compare every file of the packages with what was installed, and restore those
that differ or are missing. Configuration files that were edited stay. Where a
repository has the same version with another content, that is installed instead.`,
		Example:           "  pkgtool reinstall coreutils",
		ValidArgsFunction: app.completeInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.change(cmd.Context(), f, install.Request{Reinstall: args})
		},
	}
	f.add(cmd)
	f.addFetching(cmd)
	return cmd
}

func autoremoveCommand(app *App) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "autoremove", Short: "Remove what was installed for others' sake and is needed no more", Args: cobra.NoArgs,
		Long: `Remove the packages that nobody asked for and that nothing asked for needs,
recommends or is supplemented by. pkgtool list --orphans shows them, and pkgtool
mark --explicit NAME keeps one.`,
		Example: "  pkgtool autoremove --dry-run",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.change(cmd.Context(), f, install.Request{Autoremove: true})
		},
	}
	f.add(cmd)
	return cmd
}

func markCommand(app *App) *cobra.Command {
	var f changeFlags
	var explicit, automatic bool
	cmd := &cobra.Command{
		Use: "mark --explicit|--automatic NAME...", Short: "Say which packages you want for themselves", Args: cobra.MinimumNArgs(1),
		Long: `Say that installed packages are wanted for themselves (--explicit), or that they
are there only because others need them (--automatic), so that autoremove may take
them away when nothing does any more.`,
		Example:           "  pkgtool mark --explicit vim\n  pkgtool mark --automatic libxml2",
		ValidArgsFunction: app.completeInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			if explicit == automatic {
				return fault.Mark(errors.New("say either --explicit or --automatic"), fault.Usage, "see pkgtool mark --help")
			}
			f.yes = true // nothing comes and nothing goes
			if explicit {
				return app.change(cmd.Context(), f, install.Request{Explicit: args})
			}
			return app.change(cmd.Context(), f, install.Request{Automatic: args})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&explicit, "explicit", false, "they are wanted for themselves")
	flags.BoolVar(&automatic, "automatic", false, "they are there for others' sake")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would be noted and change nothing")
	return cmd
}
