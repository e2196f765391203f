package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/loader"
	"ashlar/pkgtool/system"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// loaderCommands tell and change what a machine starts.
func loaderCommands(app *App) []*cobra.Command {
	group := &cobra.Command{
		Use: "loader", Short: "Show and change what the machine starts",
		Long: `Show and change what the machine starts.

Every generation that one can return to has an entry in the boot menu, with its own
kernel. A new one has three tries; the unit ashlar-bless ends them when the start was
complete. If it never is, the machine comes back on the last generation that was, and
that is made the current one again.`,
		Example: "  pkgtool loader list\n  pkgtool loader update",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(loaderList(app), loaderUpdate(app), loaderBless(app), loaderUnstage(app), loaderDeadline(app))
	return []*cobra.Command{group}
}

// withLoader is withSystem for a system with a boot loader of ours.
func (a *App) withLoader(do func(*system.System, *loader.Loader) error) error {
	return a.withSystem(func(sys *system.System) error {
		l, err := loader.Attach(sys)
		if err != nil {
			return err
		}
		if l == nil {
			return fault.Mark(errors.New("this system has no boot loader of Ashlar's"), fault.Usage,
				"the installer writes one; /"+loader.PartitionsPath+" names its partitions")
		}
		return do(sys, l)
	})
}

func loaderList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the entries of the boot menu, and what starts by default", Args: cobra.NoArgs,
		Example: "  pkgtool loader list\n  pkgtool loader list --json | jq .generation",
		RunE: func(*cobra.Command, []string) error {
			return app.withLoader(func(sys *system.System, l *loader.Loader) error {
				status, err := l.Status()
				if err != nil {
					return err
				}
				return app.Print(struct {
					Schema int `json:"schema"`
					*loader.Status
				}{1, status}, func(w io.Writer) { showLoader(w, sys.Generation().Number, status) })
			})
		},
	}
}

func showLoader(w io.Writer, current int, s *loader.Status) {
	for _, e := range s.Entries {
		var notes string
		if e.Generation == current {
			notes += "  current"
		}
		switch {
		case e.Generation == s.Generation && s.Tries >= 0:
			notes += fmt.Sprintf("  default, %d tries left", s.Tries)
		case e.Generation == s.Generation:
			notes += "  default"
		}
		if e.Generation == s.Good {
			notes += "  good"
		}
		if e.Generation == s.Staged {
			notes += "  staged"
		}
		fmt.Fprintf(w, "%5d  %s%s\n", e.Generation, printable(e.Title), notes)
	}
	if s.Failed != 0 {
		fmt.Fprintf(w, "generation %d did not start in %d tries and was left\n", s.Failed, loader.MaxTries)
	}
	if s.Boot != nil && s.Boot.Problem != "" {
		fmt.Fprintln(w, printable(s.Boot.Problem))
	}
}

func loaderUpdate(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "update", Short: "Make the entry of the current generation anew", Args: cobra.NoArgs,
		Long: `Make the entry of the current generation anew, and the menu. That is what to do after
a change of /etc/kernel/cmdline; transactions do it themselves.`,
		Example: "  pkgtool loader update",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.withLoader(func(sys *system.System, l *loader.Loader) error {
				if err := l.Update(cmd.Context()); err != nil {
					return err
				}
				return app.Print(map[string]any{"schema": 1, "generation": sys.Generation().Number}, func(w io.Writer) {
					fmt.Fprintf(w, "the boot menu has generation %d\n", sys.Generation().Number)
				})
			})
		},
	}
}

func loaderBless(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "bless", Short: "Note that the running generation has started well", Args: cobra.NoArgs,
		Long: `Note that the running generation has started well, so that the machine comes back to
it if a later one does not start. The unit ashlar-bless does it when boot-complete.target
is reached; units that a start needs can be ordered before that target.`,
		Example: "  pkgtool loader bless",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.withLoader(func(sys *system.System, l *loader.Loader) error {
				if err := l.Bless(cmd.Context()); err != nil {
					return err
				}
				status, err := l.Status()
				if err != nil {
					return err
				}
				return app.Print(struct {
					Schema int `json:"schema"`
					*loader.Status
				}{1, status}, func(w io.Writer) { showBlessed(w, status) })
			})
		},
	}
}

func showBlessed(w io.Writer, s *loader.Status) {
	fmt.Fprintf(w, "generation %d has started well\n", s.Good)
	if s.Boot != nil && s.Boot.Mode == loader.ModeFallback && s.Failed != 0 {
		fmt.Fprintf(w, "generation %d did not start in %d tries; this machine has gone back\n", s.Failed, loader.MaxTries)
	}
}

func loaderUnstage(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "unstage", Short: "Forget what was staged for the next start", Args: cobra.NoArgs,
		Example: "  pkgtool upgrade --stage\n  pkgtool loader unstage",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.withSystem(func(sys *system.System) error {
				staged, err := sys.Staged()
				if err != nil {
					return err
				}
				if err := sys.DropStaged(cmd.Context()); err != nil {
					return err
				}
				return app.Print(map[string]any{"schema": 1, "dropped": staged}, func(w io.Writer) {
					if staged == 0 {
						fmt.Fprintln(w, "nothing is staged")
					} else {
						fmt.Fprintf(w, "generation %d is not staged any more\n", staged)
					}
				})
			})
		},
	}
}

func loaderDeadline(app *App) *cobra.Command {
	var after time.Duration
	cmd := &cobra.Command{
		Use: "deadline", Short: "Start the machine again if this generation does not start well in time", Args: cobra.NoArgs,
		Long: `Wait, and start the machine again if the running generation was never blessed, not
even then. A start that hangs is so counted as one that failed. The unit
ashlar-start-deadline does it; a generation that was blessed once is left alone.`,
		Example: "  pkgtool loader deadline --after 10m",
		RunE: func(cmd *cobra.Command, _ []string) error {
			waiting := true
			for end := time.Now().Add(after); waiting; waiting = time.Now().Before(end) {
				proved := false
				err := app.withLoader(func(_ *system.System, l *loader.Loader) error {
					unproved, err := l.Unproved()
					proved = !unproved
					return err
				})
				if err != nil || proved {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				case <-time.After(min(time.Until(end), 20*time.Second)):
				}
			}
			app.Say("this generation did not start well within %s; starting the machine again", after)
			unix.Sync()
			return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
		},
	}
	cmd.Flags().DurationVar(&after, "after", 10*time.Minute, "how long a start may take")
	return cmd
}
