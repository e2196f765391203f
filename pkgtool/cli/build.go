package cli

import (
	"context"
	"fmt"
	"io"

	"ashlar/pkgtool/build"

	"github.com/spf13/cobra"
)

// buildCommands build recipes.
func buildCommands(app *App) []*cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build [NAME...]",
		Short: "Build packages from recipes, and whatever they need; all recipes when none is named",
		Long: "Build packages from recipes, and whatever they need; all recipes when none is named.\n\n" +
			"What was built before from the same inputs comes from the cache ($ASHLAR_CACHE, else\n" +
			"~/.cache/ashlar). Packages are signed with the default key, which is made on first use.",
		RunE: func(cmd *cobra.Command, names []string) error { return o.run(cmd.Context(), app, names) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.recipes, "recipes", "recipes", "folder of all recipes")
	flags.StringVar(&o.out, "out", "build/packages", "folder for the signed packages")
	flags.IntVarP(&o.jobs, "jobs", "j", 0, "jobs of one build; 0 means one per core")
	flags.IntVar(&o.parallel, "parallel", 0, "recipes built at a time; 0 means 2")
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
	shared           sharedOptions
	executor         executorOptions
}

func (o *buildOptions) run(ctx context.Context, app *App, names []string) error {
	engine, err := build.Open(o.recipes)
	if err != nil {
		return err
	}
	signer, err := packagerKey(app)
	if err != nil {
		return err
	}
	if _, err := o.shared.open(engine, o.recipes, signer); err != nil {
		return err
	}
	engine.Out, engine.Signer, engine.Attest = o.out, signer, o.attest
	engine.Jobs, engine.Parallel, engine.KeepGoing = o.jobs, o.parallel, o.keepGoing
	engine.Report = BuildReporter(app)
	if o.shell {
		engine.Parallel = 1
		engine.Failed = func(ctx context.Context, f *build.FailedBuild) {
			app.Say("%s stopped here; leave the shell to end", f.Recipe)
			if err := f.Shell(ctx); err != nil {
				app.Say("the shell ended: %v", err)
			}
		}
	}
	closeExecutor, err := o.executor.open(app, engine, o.shell)
	if err != nil {
		return err
	}
	defer closeExecutor()
	built, err := engine.Build(ctx, names)
	if err != nil {
		return err
	}
	return app.Print(built, func(w io.Writer) {
		for _, b := range built {
			fmt.Fprintln(w, b.Path)
		}
	})
}
