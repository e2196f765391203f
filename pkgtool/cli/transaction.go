package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/loader"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/system/restart"
	"ashlar/signing"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// changeFlags are what the commands that change a system have in common.
type changeFlags struct {
	yes, dryRun, allowRemovals, downloadOnly, noTriggers, timing, stage bool
	offline, allowStale, noRecommends, allowVendorChange                bool
	trust, saveCase                                                     string
	definitions                                                         string // folder; "" is the system's
	solveTimeout                                                        time.Duration

	// refuse may end the command when the plan is known, before anything is done.
	refuse func(*system.System, *install.Plan) error
}

func (f *changeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show the plan and change nothing")
	flags.BoolVar(&f.allowRemovals, "allow-removals", false, "with --yes, also remove packages that were not named, and the running kernel")
	flags.BoolVar(&f.noTriggers, "no-triggers", false, "do not run the triggers of packages (ldconfig and the like)")
	flags.DurationVar(&f.solveTimeout, "solve-timeout", 2*time.Minute, "give up finding packages that fit after this time")
	flags.BoolVar(&f.timing, "timing", false, "tell how long each part took")
}

func (f *changeFlags) addFetching(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.offline, "offline", false, "ask no mirror: use what the last refresh found, and packages in the cache")
	flags.BoolVar(&f.allowStale, "allow-stale", false, "go by what the last refresh found also when that has expired and no mirror has better")
	flags.BoolVar(&f.downloadOnly, "download-only", false, "fetch what is needed into the cache, and change nothing else")
	flags.BoolVar(&f.stage, "stage", false, "prepare everything, and let the next start of the machine make the change")
	flags.BoolVar(&f.noRecommends, "no-recommends", false, "add only what is needed")
	flags.BoolVar(&f.allowVendorChange, "allow-vendor-change", false, "also take newer builds of another vendor than the installed one")
	flags.StringVar(&f.saveCase, "save-case", "", "write what the solver was asked into this folder, for pkgtool solve and bug reports")
}

// changeResult is what --json prints.
type changeResult struct {
	Schema     int             `json:"schema"`
	Done       bool            `json:"done"` // false for --dry-run, --download-only and when there is nothing to do
	Generation int             `json:"generation"`
	Staged     int             `json:"staged,omitempty"` // the generation that the next start makes the current one
	Plan       *install.Plan   `json:"plan"`
	Restart    *restart.Report `json:"restart,omitempty"` // what still uses old files, on the running system
	Timing     []install.Phase `json:"timing,omitempty"`  // with --timing, in nanoseconds
}

// change plans, shows, asks and carries out.
func (a *App) change(ctx context.Context, f changeFlags, request install.Request) (err error) {
	request.NoRecommends, request.NoTriggers, request.AllowVendorChange, request.SaveCase = f.noRecommends, f.noTriggers, f.allowVendorChange, f.saveCase
	request.SolveTimeout = f.solveTimeout
	normally := collectLate()
	defer normally()
	session, err := a.openSession(f)
	if err != nil {
		return err
	}
	if _, err := loader.Attach(session.System()); err != nil {
		return errors.Join(err, session.Close())
	}
	defer func() {
		due := err == nil && session.System().PruneDue()
		session.Close()
		if due {
			a.pruneLater()
		}
	}()
	if f.timing && !a.JSON {
		defer func() { showTiming(a.Err, session.Phases()) }()
	}
	plan, err := session.Plan(ctx, request, f.dryRun || f.downloadOnly)
	if err != nil {
		return err
	}
	defer plan.Close()
	if f.refuse != nil && !plan.Empty() {
		if err := f.refuse(session.System(), plan); err != nil {
			return err
		}
	}
	if !plan.Empty() {
		normally()
		defer boundMemory(len(plan.Steps))()
	}
	if err := a.prepare(ctx, f, plan); err != nil {
		return err
	}
	result := changeResult{Schema: 1, Generation: session.System().Generation().Number, Plan: plan}
	finish := func(show func(io.Writer)) error {
		if f.timing {
			result.Timing = session.Phases()
		}
		return errors.Join(a.Print(result, show), heldBack(plan))
	}
	if plan.Empty() || f.dryRun {
		return finish(func(w io.Writer) { showPlan(w, plan) })
	}
	if !f.yes || !a.JSON {
		showPlan(a.messages(), plan)
	}
	if f.downloadOnly {
		if err := a.fetchOnly(ctx, plan); err != nil {
			return err
		}
		return finish(func(w io.Writer) { fmt.Fprintf(w, "fetched %s; nothing was installed\n", amount(plan.Download)) })
	}
	if err := a.agree(f, plan); err != nil {
		return err
	}
	carryOut := plan.Commit
	if f.stage {
		carryOut = plan.Stage
	}
	err = carryOut(ctx, a.changeProgress())
	a.clearLine()
	if err != nil {
		return err
	}
	if f.stage {
		if result.Staged, err = session.System().Staged(); err != nil {
			return err
		}
		return finish(func(w io.Writer) {
			fmt.Fprintf(w, "generation %d is staged; the next start makes it the current one\n", result.Staged)
		})
	}
	result.Done, result.Generation = true, session.System().Generation().Number
	var reboot error
	result.Restart, reboot = a.afterwards()
	err = finish(func(w io.Writer) {
		showDone(w, plan, result.Generation)
		if result.Restart != nil {
			showRestart(w, result.Restart)
		}
	})
	return errors.Join(err, reboot)
}

// collectLate keeps the collector from running before a short command is done:
// it would take a third of its time. It returns what undoes that.
func collectLate() (normally func()) {
	before := debug.SetGCPercent(-1)
	if before < 0 || os.Getenv("GOGC") != "" { // whoever set it knows better
		debug.SetGCPercent(before)
		return func() {}
	}
	debug.SetGCPercent(4 * before)
	return func() { debug.SetGCPercent(before) }
}

// boundMemory makes the collector work harder where a transaction of so many
// packages would take more memory than it needs, and returns what undoes that.
// What a package's manifest takes while it is installed is about 80 KiB; a tighter
// bound makes the collector take as long as the installation. An
// environment with GOMEMLIMIT knows better.
func boundMemory(packages int) (undo func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(50<<20 + int64(packages)*(90<<10))
	return func() { debug.SetMemoryLimit(before) }
}

func (a *App) openSession(f changeFlags) (*install.Session, error) {
	opts := install.Options{Root: a.Root, Config: f.definitions, Command: os.Args, Offline: f.offline, Stale: f.allowStale,
		Warn: func(err error) { a.Say("%s", printable(err.Error())) }}
	if f.trust != "" {
		data, err := os.ReadFile(f.trust)
		if err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
		if opts.Trust, err = signing.ReadKeyring(data); err != nil {
			return nil, fmt.Errorf("%s: %w", f.trust, err)
		}
	}
	return install.Open(opts)
}

// prepare reads the manifests of a plan. Who may not write the cache, or cannot
// reach a mirror, can still look at what the index says.
func (a *App) prepare(ctx context.Context, f changeFlags, plan *install.Plan) error {
	err := plan.Prepare(ctx, a.changeProgress())
	a.clearLine()
	if f.dryRun && (errors.Is(err, fs.ErrPermission) || fault.ClassOf(err) == fault.Network) {
		plan.Incomplete = true
		a.Say("sizes are those of whole packages: %s", printable(err.Error()))
		return nil
	}
	return err
}

func (a *App) fetchOnly(ctx context.Context, plan *install.Plan) error {
	err := plan.Fetch(ctx, a.changeProgress())
	a.clearLine()
	return err
}

// afterwards says what a transaction on the running system has not reached yet.
func (a *App) afterwards() (*restart.Report, error) {
	if filepath.Clean(a.Root) != "/" {
		return nil, nil
	}
	report, err := restart.Processes(a.Root)
	if err != nil {
		a.Say("could not find out what has to be restarted: %s", printable(err.Error()))
		return nil, nil
	}
	if report.Reboot {
		err = restartNeeded(report)
	}
	return report, err
}

// pruneLater starts a process of low priority that removes what nothing needs
// any more. It gives way to every other command; nothing depends on it.
func (a *App) pruneLater() {
	cmd := exec.Command("/proc/self/exe", "--root", a.Root, "clean", system.BackgroundFlag)
	cmd.Args[0] = os.Args[0]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		a.Say("could not start to clean up: %s", printable(err.Error()))
		return
	}
	syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, 19)
	cmd.Process.Release()
}

// agree asks whether to go on. Without a person to ask, --yes is the answer; it
// does not cover removals that nobody named.
func (a *App) agree(f changeFlags, plan *install.Plan) error {
	removals := plan.Removals()
	switch {
	case f.yes && f.allowRemovals:
		return nil
	case f.yes && len(plan.Protected) > 0:
		return fault.Mark(fmt.Errorf("this would remove the running kernel, %s", strings.Join(plan.Protected, ", ")), fault.Failed,
			"boot another kernel first, or add --allow-removals")
	case f.yes && len(removals) > 0:
		return fault.Mark(fmt.Errorf("this would also remove %s", strings.Join(removals, ", ")), fault.Failed,
			"if that is meant, add --allow-removals")
	case f.yes:
		return nil
	}
	return a.confirm(false)
}

// confirm asks whether to go on, unless the answer is known. Without a person to
// ask it is an error.
func (a *App) confirm(yes bool) error {
	if yes {
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
	var mu sync.Mutex
	last := ""
	return func(what string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
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

// heldBack is the error when an upgrade left something out that the
// administrator does not hold himself.
func heldBack(plan *install.Plan) error {
	var held []string
	for _, h := range plan.Held {
		if !h.ByYou {
			held = append(held, h.Name+" "+h.Version)
		}
	}
	if len(held) == 0 {
		return nil
	}
	return fault.Mark(fmt.Errorf("held back: %s", strings.Join(held, ", ")), fault.HeldBack,
		"see what it would take: pkgtool install --dry-run NAME@VERSION")
}
