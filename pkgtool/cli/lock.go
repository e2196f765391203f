package cli

import (
	"fmt"
	"io"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"

	"github.com/spf13/cobra"
)

func syncCommand(app *App) *cobra.Command {
	var f changeFlags
	var upgrade bool
	cmd := &cobra.Command{
		Use: "sync FILE", Short: "Make the system consist of what a world file or lock file says", Args: cobra.ExactArgs(1),
		Long: `Make the system consist of the packages that a world file lists and of what they
need, or of exactly the packages that a lock file names by their hashes. What is
installed besides is removed. Both formats are described in docs/formats/lock.md.`,
		Example: "  pkgtool sync world.yaml\n  pkgtool --root /srv/tree sync --yes system.lock",
		RunE: func(cmd *cobra.Command, args []string) error {
			world, lock, err := install.ReadTarget(args[0])
			if err != nil {
				return err
			}
			return app.change(cmd.Context(), f, install.Request{World: world, Lock: lock, UpgradeAll: upgrade && lock == nil})
		},
	}
	f.add(cmd)
	f.addFetching(cmd)
	cmd.Flags().BoolVar(&upgrade, "upgrade", false, "with a world file, also bring everything up to date")
	return cmd
}

func lockCommand(app *App) *cobra.Command {
	var output string
	var world bool
	var f changeFlags
	cmd := &cobra.Command{
		Use: "lock [WORLD-FILE]", Short: "Write down what a system consists of, by hashes", Args: cobra.MaximumNArgs(1),
		Long: `Write a lock file: every installed package by the hash of its manifest, so that
pkgtool sync makes another system consist of the very same files. With a world
file, write the lock file of what pkgtool sync would lead to here, without doing it.
With --world, write a world file of the packages that were asked for.`,
		Example: "  pkgtool lock -o system.lock\n  pkgtool lock --world -o world.yaml\n  pkgtool --root /srv/empty lock world.yaml -o system.lock",
		RunE: func(cmd *cobra.Command, args []string) error {
			session, err := app.openSession(f)
			if err != nil {
				return err
			}
			defer session.Close()
			var lock *install.Lock
			switch {
			case len(args) > 0:
				target, _, err := install.ReadTarget(args[0])
				if err == nil && target == nil {
					err = fault.Errorf(fault.Usage, "%s is a lock file already", args[0])
				}
				if err != nil {
					return err
				}
				if lock, err = session.LockWorld(cmd.Context(), target); err != nil {
					return err
				}
			case world:
				data, err := install.WorldOf(session.System().Installed()).Encode()
				if err != nil {
					return err
				}
				return app.writeOut(output, data)
			default:
				lock = install.LockOf(session.System().Installed())
			}
			data, err := lock.Encode()
			if err != nil {
				return err
			}
			return app.writeOut(output, data)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write; default: standard output")
	cmd.Flags().BoolVar(&world, "world", false, "write a world file")
	cmd.Flags().BoolVar(&f.offline, "offline", false, "use what the last refresh found; do not ask for news")
	return cmd
}

// writeOut writes a result to a file, or to stdout if path is "".
func (a *App) writeOut(path string, data []byte) error {
	if path == "" {
		_, err := a.Out.Write(data)
		return err
	}
	if err := durable.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	return a.Print(map[string]any{"schema": 1, "output": path}, func(w io.Writer) { fmt.Fprintf(w, "wrote %s\n", printable(path)) })
}
