package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"

	"github.com/spf13/cobra"
)

// migrateCommand takes a system to another channel of its repositories.
func migrateCommand(app *App) *cobra.Command {
	var f changeFlags
	var names []string
	cmd := &cobra.Command{
		Use: "migrate CHANNEL", Short: "Take the system to another channel of its repositories, as one transaction", Args: cobra.ExactArgs(1),
		Long: `Make the system consist of what the packages that you asked for lead to in another
channel, as if it had been installed from there: older versions where the channel has
older ones, and without what is needed no more. The plan is shown first. When the
change is made, the definitions of the repositories name the new channel.

pkgtool rollback returns to the packages of before, and pkgtool migrate to the old
channel. A package that the new channel lacks is an error: remove it first, or keep
its repository where it is and name the others with --remote.`,
		Example: `  pkgtool migrate testing --dry-run
  pkgtool migrate stable --yes`,
		RunE: func(cmd *cobra.Command, args []string) error { return app.migrate(cmd.Context(), f, args[0], names) },
	}
	f.add(cmd)
	cmd.Flags().StringArrayVar(&names, "remote", nil, "migrate only this repository; may be given several times (default all that are enabled)")
	cmd.RegisterFlagCompletionFunc("remote", app.completeRemote)
	return cmd
}

func (a *App) migrate(ctx context.Context, f changeFlags, channel string, names []string) (err error) {
	dirs := client.DirsOf(a.Root)
	configs, err := client.LoadConfigs(dirs.Config)
	if err != nil {
		return err
	}
	if configs, err = chosen(configs, names); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "pkgtool-migrate-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	there := client.DirsOf(work) // a system with nothing in it, and the new definitions
	for from, to := range map[string]string{dirs.Config: there.Config, dirs.Trust: there.Trust} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return err
		}
	}
	var moved []string // names of repositories
	for i := range configs {
		if !configs[i].On() {
			continue
		}
		changed, err := there.SetChannel(configs[i].Name, channel)
		if err != nil {
			return err
		}
		if changed {
			moved = append(moved, configs[i].Name)
		}
	}
	if len(moved) == 0 {
		return fault.Errorf(fault.Usage, "no enabled repository would change: all are of channel %s, or none was meant", channel)
	}
	lock, err := a.lockElsewhere(ctx, work, channel)
	if err != nil {
		return err
	}
	f.definitions = there.Config
	err = a.change(ctx, f, install.Request{Lock: lock, Title: "migrate to channel " + channel})
	if class := fault.ClassOf(err); f.dryRun || err != nil && class != fault.HeldBack && class != fault.RebootNeeded {
		return err
	}
	for _, name := range moved {
		if _, err := dirs.SetChannel(name, channel); err != nil {
			return fmt.Errorf("the packages are those of channel %s; the definition of %s could not be changed, do it by hand: %w", channel, name, err)
		}
	}
	return err
}

// lockElsewhere returns what the packages that somebody asked for here lead to on
// the empty system below root.
func (a *App) lockElsewhere(ctx context.Context, root, channel string) (*install.Lock, error) {
	var world *install.World
	if err := a.withSystem(func(sys *system.System) error {
		world = install.WorldOf(sys.Installed())
		return nil
	}); err != nil {
		return nil, err
	}
	if len(world.Packages) == 0 {
		return nil, fault.Errorf(fault.Usage, "nothing is installed that somebody asked for")
	}
	session, err := install.Open(install.Options{Root: root, Warn: func(err error) { a.Say("%s", printable(err.Error())) }})
	if err != nil {
		return nil, err
	}
	lock, err := session.LockWorld(ctx, world)
	if err := errors.Join(err, session.Close()); err != nil {
		return nil, fmt.Errorf("channel %s cannot take the place of the present one: %w", channel, err)
	}
	return lock, nil
}
