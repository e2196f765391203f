package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/autoupdate"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/loader"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/system/restart"

	"github.com/spf13/cobra"
)

// autoupdateCommand is what a timer runs.
func autoupdateCommand(app *App) *cobra.Command {
	dryRun := false
	cmd := &cobra.Command{
		Use: "autoupdate", Short: "Bring the system up to date as its policy says; for a timer", Args: cobra.NoArgs,
		Long: `Asks the repositories, and does with what is new what /etc/pkgtool/autoupdate.yaml
says:

  schema: 1
  action: apply          # or check, download, stage: the next start makes the change
  window: 22:00-04:30    # local time in which changes and restarts may be made
  days: [sat, sun]       # on which it begins
  reboot: needed         # or never

Without the file: apply, at any time, and no restart. Outside of the window what is
new is only fetched. Nothing is removed that nobody named.

What did not start is not tried again: if the machine came back from a generation by
itself, the same packages are held back until a repository offers others (exit code 6);
pkgtool upgrade does it all the same.

The unit update.timer runs it once a day at a random time; systemctl edit update.timer
changes when.`,
		Example: `  pkgtool autoupdate --dry-run
  systemctl enable --now update.timer`,
		RunE: func(cmd *cobra.Command, _ []string) error { return app.autoupdate(cmd.Context(), dryRun) },
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and change nothing")
	cmd.AddCommand(&cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the policy", Args: cobra.NoArgs,
		Example: "  pkgtool autoupdate schema > autoupdate.schema.json",
		RunE: func(*cobra.Command, []string) error {
			schema, err := autoupdate.Schema()
			if err == nil {
				_, err = app.Out.Write(schema)
			}
			return err
		},
	})
	return cmd
}

func (a *App) autoupdate(ctx context.Context, dryRun bool) error {
	policy, err := autoupdate.Read(a.Root)
	if err != nil {
		return err
	}
	if _, err := a.refresh(ctx, nil); err != nil {
		return err
	}
	open := policy.Open(time.Now())
	action := policy.Action
	if !open && (action == autoupdate.Stage || action == autoupdate.Apply) {
		a.Say("it is not in the window %s %s; what is new is only fetched", policy.Window, strings.Join(policy.Days, " "))
		action = autoupdate.Download
	}
	f := changeFlags{yes: true, solveTimeout: 10 * time.Minute, refuse: refuseRepetition,
		dryRun: dryRun || action == autoupdate.Check, downloadOnly: action == autoupdate.Download, stage: action == autoupdate.Stage}
	err = a.change(ctx, f, install.Request{UpgradeAll: true})
	if class := fault.ClassOf(err); err != nil && class != fault.HeldBack && class != fault.RebootNeeded {
		return err
	}
	if dryRun || policy.Reboot != autoupdate.Needed || !open || filepath.Clean(a.Root) != "/" {
		return err
	}
	why, rebootErr := a.rebootReasons()
	if rebootErr != nil || len(why) == 0 {
		return errors.Join(err, rebootErr)
	}
	a.Say("the machine is restarted: %s", printable(strings.Join(why, "; ")))
	if out, err := exec.CommandContext(ctx, "systemctl", "--no-block", "reboot").CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl reboot: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if fault.ClassOf(err) == fault.RebootNeeded {
		return nil
	}
	return err
}

// rebootReasons says why the running machine should be restarted, if it should.
func (a *App) rebootReasons() (why []string, err error) {
	report, err := restart.Processes(a.Root)
	if err != nil {
		return nil, err
	}
	if report.Reboot {
		why = report.Why
	}
	err = a.withSystem(func(sys *system.System) error {
		staged, err := sys.Staged()
		if staged != 0 {
			why = append(why, fmt.Sprintf("generation %d is staged", staged))
		}
		return err
	})
	return why, err
}

// refuseRepetition ends an update that leads to the packages of a generation from
// which the machine came back by itself.
func refuseRepetition(sys *system.System, plan *install.Plan) error {
	menu, err := loader.Attach(sys)
	if err != nil || menu == nil {
		return err
	}
	status, err := menu.Status()
	if err != nil || status.Failed == 0 {
		return err
	}
	failed, err := sys.GenerationAt(status.Failed)
	if err != nil {
		return nil // it is gone: nobody knows what it consisted of
	}
	if !autoupdate.Repeats(sys.Installed(), failed.Packages, plan.Steps) {
		return nil
	}
	return fault.Mark(fmt.Errorf("held back: generation %d, with just these packages, did not start", status.Failed), fault.HeldBack,
		"a newer release ends this; to try again: pkgtool upgrade")
}
