package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system/restart"

	"github.com/spf13/cobra"
)

// restartCommands tell what an update has not reached yet.
func restartCommands(app *App) []*cobra.Command {
	return []*cobra.Command{{
		Use: "needs-restart", Short: "List running programs that still use replaced files", Args: cobra.NoArgs,
		Long: `List running programs that still use files which were replaced or removed since they
began, the services that they belong to, and why a reboot is needed, if it is: an old
kernel, an old C library, or an old first process.

The exit code is 0 if nothing is to be done, 1 if programs have to be started again,
and 7 if a reboot is needed. Scripts that an interpreter has read are not seen. An
ordinary user sees his own programs.`,
		Example: `  pkgtool needs-restart
  pkgtool needs-restart --json | jq -r '.units[]' | xargs -r systemctl restart`,
		RunE: func(*cobra.Command, []string) error {
			report, err := restart.Processes(app.Root)
			if err != nil {
				return err
			}
			err = app.Print(struct {
				Schema int `json:"schema"`
				*restart.Report
			}{1, report}, func(w io.Writer) { showRestart(w, report) })
			if err != nil {
				return err
			}
			if report.Unseen > 0 {
				app.Say("%d processes could not be looked at; root sees more", report.Unseen)
			}
			return restartNeeded(report)
		},
	}}
}

// showRestart prints a report for a person; nothing if nothing is to be done.
func showRestart(w io.Writer, r *restart.Report) {
	for _, p := range r.Processes {
		fmt.Fprintf(w, "%7d  %-16s %-24s %s\n", p.PID, printable(p.Name), printable(p.Unit), printable(shortList(p.Files, 3)))
	}
	if len(r.Units) > 0 {
		fmt.Fprintf(w, "services to restart: %s\n", printable(strings.Join(r.Units, " ")))
	}
	if r.Reboot {
		fmt.Fprintf(w, "a reboot is needed: %s\n", printable(strings.Join(r.Why, "; ")))
	}
}

// shortList joins the first n of a list.
func shortList(list []string, n int) string {
	if len(list) <= n {
		return strings.Join(list, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], " "), len(list)-n)
}

// restartNeeded is the error whose class is the exit code.
func restartNeeded(r *restart.Report) error {
	switch {
	case r.Reboot:
		return fault.Mark(errors.New("a reboot is needed"), fault.RebootNeeded, "")
	case len(r.Processes) > 0:
		hint := "end these programs and start them again"
		if len(r.Units) > 0 {
			hint = "systemctl restart " + strings.Join(r.Units, " ")
		}
		return fault.Mark(fmt.Errorf("%d programs use old files", len(r.Processes)), fault.Failed, hint)
	}
	return nil
}
