package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/signing/kmod"

	"github.com/spf13/cobra"
)

// buildCommands build recipes.
func buildCommands(app *App) []*cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build [NAME...]",
		Short: "Build packages from recipes, and whatever they need; all recipes when none is named",
		Long: `Build packages from recipes, and whatever they need; all recipes when none is
named. NAME is a recipe, a package or @GROUP.

What was built before from the same inputs comes from the cache ($ASHLAR_CACHE,
else ~/.cache/ashlar). Packages are signed with the default key, which is made on
first use. After packing, the tests of a recipe are tried in a fresh root where
its packages are installed.

Ctrl-C ends the builds at work and leaves nothing running. What was finished is
kept; a build that failed or was interrupted goes on where it stopped with
--resume, if nothing before that step has changed. Packages of a resumed build
are not given to a shared cache, because they were not built in one go.`,
		Example: `  pkgtool build openssh                          one recipe and what it needs
  pkgtool build @virtualization --keep-going     a group, as far as it goes
  pkgtool build --changed main --rdeps           what a branch touches, and all that stands on it
  pkgtool build openssh --option openssh.pam=false
  pkgtool build linux-server --kernel-fragment linux-server=mine.config
  pkgtool build linux-virt --resume              go on after mending the step that failed
  pkgtool build --trace build/trace.json         see in a trace viewer where the time goes`,
		ValidArgsFunction: o.complete,
		RunE:              func(cmd *cobra.Command, names []string) error { return o.run(cmd.Context(), app, names) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.recipes, "recipes", "recipes", "folder of all recipes")
	flags.StringVar(&o.out, "out", "build/packages", "folder for the signed packages")
	flags.IntVarP(&o.jobs, "jobs", "j", 0, "jobs of every build; 0 shares the cores among the builds at work")
	flags.IntVar(&o.parallel, "parallel", 0, "recipes built at a time; 0 means a quarter of the cores, and 2 at least")
	flags.StringArrayVar(&o.options, "option", nil, "choose a recipe's option, as `RECIPE.OPTION=VALUE`; wins over recipes/options.yaml")
	flags.StringArrayVar(&o.fragments, "kernel-fragment", nil, "put an own configuration fragment on top of a kernel's, as `KERNEL=FILE`; what it asks for is required")
	flags.StringVar(&o.selection.changed, "changed", "", "build what differs from this `commit` of git, HEAD when none is given, besides what is named")
	flags.Lookup("changed").NoOptDefVal = "HEAD"
	flags.BoolVar(&o.selection.rdeps, "rdeps", false, "build also all recipes that stand on these")
	flags.BoolVar(&o.resume, "resume", false, "go on with a build that failed at the step that failed")
	flags.BoolVar(&o.noTest, "no-test", false, "leave out the tests of finished packages")
	flags.StringVar(&o.trace, "trace", "", "write a trace of the run to `FILE`, for a trace viewer such as that of Chrome")
	flags.BoolVar(&o.keepGoing, "keep-going", false, "after a failure, build what does not depend on it")
	flags.BoolVar(&o.shell, "shell-on-failure", false, "open a shell in the build root when a step fails")
	o.shared.buildFlags(cmd)
	flags.StringVar(&o.attest, "attest", "", "folder for signed provenance (in-toto, SLSA) and bills of materials (SPDX) of the packages")
	o.executor.flags(cmd)
	cmd.AddCommand(buildVerify(app), buildSelfHost(app))
	return []*cobra.Command{cmd}
}

type buildOptions struct {
	recipes, out     string
	attest           string
	jobs, parallel   int
	keepGoing, shell bool
	resume, noTest   bool
	options          []string
	fragments        []string
	selection        selection
	trace            string
	shared           sharedOptions
	executor         executorOptions
}

// complete offers recipes, packages and groups.
func (o *buildOptions) complete(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	tree, err := recipe.LoadTree(o.recipes, lintArch)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := tree.Names()
	for _, group := range tree.Groups() {
		names = append(names, "@"+group)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (o *buildOptions) run(ctx context.Context, app *App, names []string) (err error) {
	options, err := parseOptions(o.options)
	if err != nil {
		return err
	}
	fragments, err := parseFragments(o.fragments)
	if err != nil {
		return err
	}
	engine, err := build.OpenWith(o.recipes, options)
	if err != nil {
		return err
	}
	for _, f := range fragments {
		if err := engine.KernelFragments(f[0], f[1]); err != nil {
			return err
		}
	}
	names, nothing, err := o.selection.names(ctx, engine, names)
	if err != nil {
		return err
	}
	if nothing {
		return app.Print([]build.Built{}, func(w io.Writer) { fmt.Fprintf(w, "nothing that recipes use changed since %s\n", o.selection.changed) })
	}
	signer, err := packagerKey(app)
	if err != nil {
		return err
	}
	if _, err := o.shared.open(engine, o.recipes, signer); err != nil {
		return err
	}
	engine.Modules = sync.OnceValues(func() (*kmod.Key, error) { return moduleKey(app) })
	engine.Out, engine.Signer, engine.Attest = o.out, signer, o.attest
	engine.Jobs, engine.Parallel, engine.KeepGoing = o.jobs, o.parallel, o.keepGoing
	engine.Resume, engine.NoTests = o.resume, o.noTest
	report, closeReport := BuildReporter(app)
	defer closeReport()
	engine.Report = report
	if o.trace != "" {
		trace := build.NewTrace(time.Second)
		engine.Report = func(ev build.Event) { trace.Report(ev); report(ev) }
		defer func() {
			err = errors.Join(err, durable.Write(o.trace, 0o644, trace.Write))
		}()
	}
	if o.shell {
		closeReport() // the terminal is the shell's
		engine.Parallel = 1
		engine.Failed = func(ctx context.Context, f *build.FailedBuild) {
			app.Say("%s stopped here; leave the shell to end", f.Recipe)
			if err := f.Shell(ctx); err != nil {
				app.Say("the shell ended: %v", err)
			}
		}
	}
	closeExecutor, err := o.executor.open(app, engine)
	if err != nil {
		return err
	}
	defer closeExecutor()
	built, err := engine.Build(ctx, names)
	if ctx.Err() != nil && err != nil && fault.ClassOf(err) == fault.Failed {
		return fault.Mark(errors.New("interrupted; what was finished is kept"), fault.Interrupted, "the same command goes on; with --resume, at the step that was interrupted")
	}
	if err != nil {
		return err
	}
	return app.Print(built, func(w io.Writer) {
		for _, b := range built {
			fmt.Fprintln(w, b.Path)
		}
	})
}
