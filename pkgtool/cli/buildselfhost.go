package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

// buildSelfHost builds recipes without the seed.
func buildSelfHost(app *App) *cobra.Command {
	var o selfHostOptions
	cmd := &cobra.Command{
		Use:   "selfhost [NAME...]",
		Short: "Build recipes again without the seed, on packages of this tree alone, and compare",
		Long: `Builds recipes (all when none is named) as usual, and then each once more in a root that
has no file of the seed: recipes/` + build.StageFile + ` says which packages of the first round take
its place. What came out is compared file by file.

Packages that differ are no failure: where the seed's compiler is not quite ours, its
traces are in the first round, and only with --rounds 3, whose last two rounds are both
by our own, can everything be equal. Recipes whose tools only the seed has are listed.

The exit code is 1 where a recipe could not be built without the seed.`,
		Example: `  pkgtool build selfhost
  pkgtool build selfhost zlib make --rounds 3
  pkgtool --json build selfhost | jq -r '.recipes[] | select(.same) | .recipe'`,
		ValidArgsFunction: completeRecipes(&o.recipes),
		RunE:              func(cmd *cobra.Command, names []string) error { return o.run(cmd.Context(), app, names) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.recipes, "recipes", "recipes", "folder of all recipes")
	flags.IntVar(&o.rounds, "rounds", 2, "rounds, that with the seed included; the last two are compared")
	flags.IntVarP(&o.jobs, "jobs", "j", 0, "jobs of one build; 0 means one per core")
	flags.IntVar(&o.parallel, "parallel", 0, "recipes built at a time; 0 means 2")
	return cmd
}

type selfHostOptions struct {
	recipes                string
	rounds, jobs, parallel int
}

// selfHostResult is what `build selfhost` prints, schema 1.
type selfHostResult struct {
	Schema        int             `json:"schema"`
	Rounds        int             `json:"rounds"`
	Equal         int             `json:"equal"`          // recipes of which every package has the same files
	EqualPackages int             `json:"equal_packages"` // packages with the same files and relations
	Packages      int             `json:"packages"`       // that were built in both rounds
	Failed        int             `json:"failed"`
	Missing       int             `json:"missing"` // recipes that need what only the seed has
	Recipes       []build.Rebuilt `json:"recipes"`
}

func (o *selfHostOptions) run(ctx context.Context, app *App, names []string) error {
	if o.rounds < 2 {
		return fault.Errorf(fault.Usage, "--rounds %d: the first is with the seed, so there must be at least 2", o.rounds)
	}
	stage, err := build.ReadStage(o.recipes)
	if err != nil {
		return err
	}
	engine, err := build.Open(o.recipes)
	if err != nil {
		return err
	}
	engine.Jobs, engine.Parallel = o.jobs, o.parallel
	report, closeReport := BuildReporter(app)
	defer closeReport()
	engine.Report = report
	rebuilt, err := engine.SelfHost(ctx, stage, names, o.rounds)
	if err != nil {
		return err
	}
	result := selfHostResult{Schema: 1, Rounds: o.rounds, Recipes: rebuilt}
	for _, r := range rebuilt {
		switch {
		case r.Missing != "":
			result.Missing++
		case r.Error != "":
			result.Failed++
		case r.Same:
			result.Equal++
		}
		for _, p := range r.Packages {
			result.Packages++
			if p.Same {
				result.EqualPackages++
			}
		}
	}
	if err := app.Print(result, func(w io.Writer) { result.print(w, app.Verbose) }); err != nil || result.Failed == 0 {
		return err
	}
	return fault.Errorf(fault.Failed, "%d recipes could not be built without the seed", result.Failed)
}

func (r *selfHostResult) print(w io.Writer, verbose bool) {
	for _, x := range r.Recipes {
		switch {
		case x.Missing != "":
			fmt.Fprintf(w, "%-18s not tried: %s\n", x.Recipe, x.Missing)
		case x.Error != "":
			fmt.Fprintf(w, "%-18s failed\n  %s\n", x.Recipe, strings.ReplaceAll(x.Error, "\n", "\n  "))
		case x.Same:
			fmt.Fprintf(w, "%-18s equal: %d packages\n", x.Recipe, len(x.Packages))
		default:
			fmt.Fprintf(w, "%-18s differs\n", x.Recipe)
			for _, p := range x.Packages {
				printRebuilt(w, &p, verbose)
			}
		}
	}
	fmt.Fprintf(w, "%d of %d packages have the same files, %d of %d recipes in all of theirs; %d failed, %d not tried\n",
		r.EqualPackages, r.Packages, r.Equal, len(r.Recipes), r.Failed, r.Missing)
}

// printRebuilt shows how much of a package differs, or all of it.
func printRebuilt(w io.Writer, p *build.VerifiedPackage, verbose bool) {
	switch {
	case p.Same:
	case verbose || p.Difference == nil:
		printVerified(w, p)
	default:
		fmt.Fprintf(w, "  package %s: %d files differ\n", p.Package, len(p.Difference.Files))
	}
}
