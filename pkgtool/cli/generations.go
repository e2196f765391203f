package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/system/restart"

	"github.com/spf13/cobra"
)

// installedCommands tell of generations and go between them.
func installedCommands(app *App) []*cobra.Command {
	return []*cobra.Command{historyCommand(app), rollbackCommand(app), diffCommand(app), cleanCommand(app)}
}

func historyCommand(app *App) *cobra.Command {
	var pin, unpin []int
	cmd := &cobra.Command{
		Use: "history", Short: "List the generations of the system", Args: cobra.NoArgs,
		Long: `List the generations of the system: what each consists of is kept, so that one can
return to it (pkgtool rollback) until pkgtool clean removes it. A pinned one stays.`,
		Example: "  pkgtool history\n  pkgtool history --pin 7",
		RunE: func(*cobra.Command, []string) error {
			return app.withSystem(func(sys *system.System) error {
				for _, n := range pin {
					if err := sys.Pin(n, true); err != nil {
						return err
					}
				}
				for _, n := range unpin {
					if err := sys.Pin(n, false); err != nil {
						return err
					}
				}
				return app.showHistory(sys)
			})
		},
	}
	cmd.Flags().IntSliceVar(&pin, "pin", nil, "keep this generation for ever")
	cmd.Flags().IntSliceVar(&unpin, "unpin", nil, "let this generation go with the others")
	return cmd
}

func (a *App) showHistory(sys *system.System) error {
	history, err := sys.History()
	if err != nil {
		return err
	}
	type generation struct {
		Number   int       `json:"number"`
		Time     time.Time `json:"time"`
		Reason   string    `json:"reason"`
		Command  []string  `json:"command,omitempty"`
		Packages int       `json:"packages"`
		Pinned   bool      `json:"pinned,omitempty"`
	}
	generations := []generation{}
	for _, g := range history {
		generations = append(generations, generation{g.Number, g.Time, g.Reason, g.Command, len(g.Packages), g.Pinned})
	}
	current := sys.Generation().Number
	return a.Print(map[string]any{"schema": 1, "current": current, "generations": generations}, func(w io.Writer) {
		for _, g := range generations {
			mark := " "
			switch {
			case g.Number == current:
				mark = "*"
			case g.Pinned:
				mark = "p"
			}
			fmt.Fprintf(w, "%s%4d  %s  %4d packages  %s\n", mark, g.Number, g.Time.Format(time.RFC3339), g.Packages, printable(g.Reason))
		}
	})
}

// generationArgs reads generation numbers; those that are missing are the ones
// given as defaults.
func generationArgs(args []string, defaults ...int) ([]int, error) {
	numbers := slices.Clone(defaults)
	for i, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 0 {
			return nil, fault.Mark(fmt.Errorf("%q is no generation", arg), fault.Usage, "see which there are: pkgtool history")
		}
		numbers[i] = n
	}
	return numbers, nil
}

func (a *App) completeGeneration(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	sys, err := system.Open(a.Root)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer sys.Close()
	history, err := sys.History()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, g := range history {
		names = append(names, fmt.Sprintf("%d\t%s", g.Number, printable(g.Reason)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// rollbackResult is what rollback prints as JSON.
type rollbackResult struct {
	Schema     int                 `json:"schema"`
	Done       bool                `json:"done"`
	Generation int                 `json:"generation"` // the one that is installed now
	To         int                 `json:"to"`         // the one whose packages it has
	Changes    *system.Diff        `json:"changes"`
	Config     []system.ConfigNote `json:"config"`
	Carried    []string            `json:"carried"`
	Saved      []string            `json:"saved"`
	Restart    *restart.Report     `json:"restart,omitempty"` // what still uses old files, on the running system
}

func rollbackCommand(app *App) *cobra.Command {
	var flags changeFlags
	cmd := &cobra.Command{
		Use: "rollback [N]", Short: "Return to the packages of an earlier generation", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeGeneration,
		Long: `Return to the packages of generation N, by default the one before the current. That
makes a new generation, so a rollback can be rolled back as well. Nothing is fetched:
contents are kept on the system. Edited configuration files are merged as in an upgrade;
files that belong to no package stay.`,
		Example: "  pkgtool rollback\n  pkgtool rollback 12 --dry-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				numbers, err := generationArgs(args, sys.Generation().Number-1)
				if err != nil {
					return err
				}
				if !flags.dryRun {
					if err := sys.Lock(os.Args); err != nil {
						return err
					}
				}
				plan, err := sys.PlanRollback(cmd.Context(), numbers[0], os.Args)
				if err != nil {
					return err
				}
				changes, err := sys.Diff(sys.Generation().Number, numbers[0])
				if err != nil {
					return err
				}
				result := rollbackResult{Schema: 1, Generation: sys.Generation().Number, To: numbers[0], Changes: changes}
				if !flags.dryRun {
					showPackageChanges(app.messages(), changes)
					if err := app.confirm(flags.yes); err != nil {
						return err
					}
					if err := plan.Commit(cmd.Context(), nil); err != nil {
						return err
					}
					result.Done, result.Generation = true, sys.Generation().Number
				}
				result.Config, result.Carried, result.Saved = list(plan.Config), list(plan.Carried), list(plan.Saved)
				var reboot error
				if result.Done {
					result.Restart, reboot = app.afterwards()
				}
				return errors.Join(app.Print(result, func(w io.Writer) { showRollback(w, result) }), reboot)
			})
		},
	}
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show what would change and change nothing")
	return cmd
}

// list makes an empty list of none, for JSON.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func showRollback(w io.Writer, r rollbackResult) {
	if !r.Done {
		showPackageChanges(w, r.Changes)
		return
	}
	fmt.Fprintf(w, "generation %d has the packages of generation %d\n", r.Generation, r.To)
	for _, n := range r.Config {
		switch {
		case n.Kept:
			fmt.Fprintf(w, "kept your edited /%s\n", printable(n.Path))
		case n.Merged:
			fmt.Fprintf(w, "merged the package's changes into your edited /%s\n", printable(n.Path))
		case n.New != "":
			fmt.Fprintf(w, "kept your edited /%s; the package's version is /%s\n", printable(n.Path), printable(n.New))
		}
	}
	for _, path := range r.Saved {
		fmt.Fprintf(w, "kept the replaced /%s in /.ashlar/saved/%d\n", printable(path), r.Generation)
	}
	if r.Restart != nil {
		showRestart(w, r.Restart)
	}
}

func diffCommand(app *App) *cobra.Command {
	var files bool
	cmd := &cobra.Command{
		Use: "diff [A] [B]", Short: "Compare two generations", Args: cobra.MaximumNArgs(2), ValidArgsFunction: app.completeGeneration,
		Long: `Compare generation A with B: packages, and with --files paths. Without numbers the one
before the current is compared with the current; with one, that with the current.
Generation 0 is the empty system.`,
		Example: "  pkgtool diff\n  pkgtool diff 3 7 --files",
		RunE: func(_ *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				current := sys.Generation().Number
				numbers, err := generationArgs(args, max(current-1, 0), current)
				if err != nil {
					return err
				}
				d, err := sys.Diff(numbers[0], numbers[1])
				if err != nil {
					return err
				}
				return app.Print(struct {
					Schema int `json:"schema"`
					*system.Diff
				}{1, d}, func(w io.Writer) {
					showPackageChanges(w, d)
					if !files {
						fmt.Fprintf(w, "%d files differ\n", len(d.Files))
						return
					}
					for _, f := range d.Files {
						fmt.Fprintf(w, "%-8s /%s\n", f.What, printable(f.Path))
					}
				})
			})
		},
	}
	cmd.Flags().BoolVar(&files, "files", false, "list the files too (--json always does)")
	return cmd
}

func showPackageChanges(w io.Writer, d *system.Diff) {
	if len(d.Packages) == 0 {
		fmt.Fprintln(w, "the packages are the same")
	}
	for _, p := range d.Packages {
		switch {
		case p.From == "":
			fmt.Fprintf(w, "added    %s %s\n", p.Name, p.To)
		case p.To == "":
			fmt.Fprintf(w, "removed  %s %s\n", p.Name, p.From)
		default:
			fmt.Fprintf(w, "changed  %s %s -> %s\n", p.Name, p.From, p.To)
		}
	}
}
