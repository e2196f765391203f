package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"
	"ashlar/signing"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// installCommands change what is installed.
func installCommands(app *App) []*cobra.Command {
	return []*cobra.Command{installCommand(app), removeCommand(app), upgradeCommand(app)}
}

// changeFlags are what install, remove and upgrade have in common.
type changeFlags struct {
	yes, dryRun, allowRemovals, offline, noRecommends bool
	trust                                             string
}

func (f *changeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show the plan and change nothing")
	flags.BoolVar(&f.allowRemovals, "allow-removals", false, "with --yes, also remove packages that were not named")
}

func (f *changeFlags) addFetching(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.offline, "offline", false, "use what the last refresh found; do not ask for news")
	cmd.Flags().BoolVar(&f.noRecommends, "no-recommends", false, "add only what is needed")
}

func installCommand(app *App) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "install NAME|FILE...", Short: "Install packages and what they need, as one transaction", Args: cobra.MinimumNArgs(1),
		Long: `Install packages from the repositories in /etc/pkgtool/repositories.d, and package
files given by path. A name can carry a condition on the version.

A package file must be signed by a packager of a repository of this system, or by a
key of the keyring that --trust names.`,
		Example: `  pkgtool install nginx
  pkgtool install 'openssl ^3' zlib@1.3.1
  pkgtool install --trust builders.asc ./hello-1.0.0-1.x86_64.ashlar
  pkgtool --root /srv/tree install --yes busybox`,
		ValidArgsFunction: app.completeAvailable,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.change(cmd.Context(), f, install.Request{Install: args, NoRecommends: f.noRecommends})
		},
	}
	f.add(cmd)
	f.addFetching(cmd)
	cmd.Flags().StringVar(&f.trust, "trust", "", "file with the public keys whose package files to take")
	return cmd
}

func removeCommand(app *App) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "remove NAME...", Short: "Remove packages, as one transaction", Args: cobra.MinimumNArgs(1),
		Long: `Remove packages. What needs them goes too, after a question. Configuration files
that were edited stay.`,
		Example:           "  pkgtool remove nginx",
		ValidArgsFunction: app.completeInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.change(cmd.Context(), f, install.Request{Remove: args})
		},
	}
	f.add(cmd)
	return cmd
}

func upgradeCommand(app *App) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "upgrade [NAME...]", Short: "Bring packages up to date, all if none is named, as one transaction",
		Long: `Bring packages up to date. Newer packages that do not fit what is installed are
listed and left out; the exit code is then 6.`,
		Example:           "  pkgtool upgrade\n  pkgtool upgrade openssl",
		ValidArgsFunction: app.completeInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.change(cmd.Context(), f, install.Request{Upgrade: args, UpgradeAll: len(args) == 0, NoRecommends: f.noRecommends})
		},
	}
	f.add(cmd)
	f.addFetching(cmd)
	return cmd
}

// changeResult is what --json prints.
type changeResult struct {
	Schema     int           `json:"schema"`
	Done       bool          `json:"done"` // false for --dry-run and when there is nothing to do
	Generation int           `json:"generation"`
	Plan       *install.Plan `json:"plan"`
}

// change plans, shows, asks and carries out.
func (a *App) change(ctx context.Context, f changeFlags, request install.Request) error {
	opts := install.Options{Root: a.Root, Command: os.Args, Offline: f.offline,
		Warn: func(err error) { a.Say("%s", printable(err.Error())) }}
	if f.trust != "" {
		data, err := os.ReadFile(f.trust)
		if err != nil {
			return fault.Mark(err, fault.Usage, "")
		}
		if opts.Trust, err = signing.ReadKeyring(data); err != nil {
			return fmt.Errorf("%s: %w", f.trust, err)
		}
	}
	session, err := install.Open(opts)
	if err != nil {
		return err
	}
	defer session.Close()
	plan, err := session.Plan(ctx, request, f.dryRun)
	if err != nil {
		return err
	}
	defer plan.Close()
	result := changeResult{Schema: 1, Generation: session.System().Generation().Number, Plan: plan}
	if plan.Empty() || f.dryRun {
		return errors.Join(a.Print(result, func(w io.Writer) { showPlan(w, plan) }), heldBack(plan))
	}
	if !f.yes || !a.JSON {
		showPlan(a.messages(), plan)
	}
	if err := a.agree(f, plan); err != nil {
		return err
	}
	err = plan.Commit(ctx, a.changeProgress())
	a.clearLine()
	if err != nil {
		return err
	}
	result.Done, result.Generation = true, session.System().Generation().Number
	err = a.Print(result, func(w io.Writer) { showDone(w, plan, result.Generation) })
	return errors.Join(err, heldBack(plan))
}

// messages is where a plan is shown that will be carried out.
func (a *App) messages() io.Writer {
	if a.Quiet {
		return io.Discard
	}
	return a.Err
}

func showPlan(w io.Writer, plan *install.Plan) {
	if plan.Empty() {
		fmt.Fprintln(w, "nothing to do")
	}
	for _, s := range plan.Steps {
		versions, from := s.Version, ""
		if s.From != "" {
			versions = s.From + " -> " + s.Version
		}
		if s.Repo != "" {
			from = s.Repo + ", "
		}
		fmt.Fprintf(w, "%-9s %s %s  (%s%s)\n", s.Do, s.Name, versions, from, printable(s.Why))
	}
	for _, held := range plan.Held {
		fmt.Fprintf(w, "held back %s\n", held)
	}
	if len(plan.Steps) > 0 {
		fmt.Fprintf(w, "to download %s, on disk %+.1f MiB\n", mebibytes(plan.Download), float64(plan.DiskChange)/(1<<20))
	}
}

func showDone(w io.Writer, plan *install.Plan, generation int) {
	counts := map[string]int{}
	for _, s := range plan.Steps {
		counts[s.Do]++
	}
	var parts []string
	for _, verb := range []struct{ do, done string }{{"install", "installed"}, {"upgrade", "upgraded"}, {"downgrade", "downgraded"}, {"remove", "removed"}} {
		if n := counts[verb.do]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, verb.done))
		}
	}
	if len(parts) == 0 {
		parts = []string{"noted what you asked for"}
	}
	fmt.Fprintf(w, "%s; this is generation %d\n", strings.Join(parts, ", "), generation)
	for _, note := range plan.Config {
		if note.Kept {
			fmt.Fprintf(w, "kept your edited %s\n", note.Path)
		} else {
			fmt.Fprintf(w, "kept your edited %s; the package's version is %s\n", note.Path, note.New)
		}
	}
}

// agree asks whether to go on. Without a person to ask, --yes is the answer;
// it does not cover removals that nobody named.
func (a *App) agree(f changeFlags, plan *install.Plan) error {
	removals := plan.Removals()
	if f.yes {
		if len(removals) > 0 && !f.allowRemovals {
			return fault.Mark(fmt.Errorf("this would also remove %s", strings.Join(removals, ", ")), fault.Failed,
				"if that is meant, add --allow-removals")
		}
		return nil
	}
	if in, ok := a.In.(*os.File); !ok || !term.IsTerminal(int(in.Fd())) {
		return fault.Mark(errors.New("nobody is there to say yes"), fault.Usage, "look at the plan with --dry-run, then add --yes")
	}
	fmt.Fprint(a.Err, "go on? [y/N] ")
	answer, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return errors.New("nothing was changed")
	}
	return nil
}

// changeProgress draws one moving line on a terminal, and nothing elsewhere.
func (a *App) changeProgress() install.Progress {
	if a.Quiet || !terminal(a.Err) {
		return nil
	}
	last := ""
	return func(what string, done, total int64) {
		line := fmt.Sprintf("%s %s", what, mebibytes(done))
		if total > 0 {
			line = fmt.Sprintf("%s %d %%", what, min(100, 100*done/total))
		}
		if line != last {
			fmt.Fprintf(a.Err, "\r\033[K%s", line)
			last = line
		}
	}
}

// clearLine takes the moving line of changeProgress away.
func (a *App) clearLine() {
	if !a.Quiet && terminal(a.Err) {
		fmt.Fprint(a.Err, "\r\033[K")
	}
}

func heldBack(plan *install.Plan) error {
	if len(plan.Held) == 0 {
		return nil
	}
	return fault.Mark(fmt.Errorf("held back: %s", strings.Join(plan.Held, ", ")), fault.HeldBack,
		"see why one does not fit: pkgtool install --dry-run NAME@VERSION")
}

// completeInstalled completes names of installed packages.
func (a *App) completeInstalled(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	sys, err := system.Open(a.Root)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer sys.Close()
	var names []string
	for _, r := range sys.Installed() {
		if strings.HasPrefix(r.Name, typed) {
			names = append(names, r.Name+"\t"+printable(r.Summary))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeAvailable completes names of packages on offer, and files.
func (a *App) completeAvailable(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	session, err := install.Open(install.Options{Root: a.Root})
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	defer session.Close()
	entries, _ := session.Available(cmd.Context())
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name, typed) {
			names = append(names, e.Name+"\t"+printable(e.Summary))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveDefault
}
