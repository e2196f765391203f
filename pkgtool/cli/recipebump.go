package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"ashlar/pkgtool/build/bump"
	"ashlar/pkgtool/build/draft"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

func recipeBump(app *App, dir *string) *cobra.Command {
	var check, dry bool
	var suite string
	cmd := &cobra.Command{
		Use: "bump NAME [VERSION]", Short: "Take a recipe to a newer version of its upstream", ValidArgsFunction: completeRecipes(dir),
		Long: `Finds upstream's newest version (or takes the one named), fetches its sources and
writes version, upstream, release 1, date, sums and sizes into the recipe.
Comments and everything else stay as they are.

Where to look is said by update in the recipe: html (a page with links, such as a
folder of files), git-tags (a repository) or debian (a suite of Debian, which is
also the default for sources of mirror://debian and comes with signed sums). Names
of files or tags are compared with update.match, by default with the name of the
recipe's archive.

--check only lists which recipes have newer versions: those named, or all that
say where to look.`,
		Example: `  pkgtool recipe bump zlib
  pkgtool recipe bump openssh 10.0p2 --suite sid
  pkgtool recipe bump --check
  pkgtool recipe bump --check --json | jq -r '.recipes[] | select(.outdated) | .recipe'`,
		Args: func(_ *cobra.Command, args []string) error {
			if !check && (len(args) < 1 || len(args) > 2) {
				return fault.Mark(errors.New("a recipe is needed, and at most one version"), fault.Usage, "pkgtool recipe bump NAME [VERSION]; --check looks at several")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			fetcher, err := source.Host()
			if err != nil {
				return err
			}
			tree, err := recipe.LoadTree(*dir, lintArch)
			if err != nil {
				return err
			}
			finder := &bump.Finder{Fetcher: fetcher, Suite: suite, Progress: app.transfer()}
			if check {
				return app.checkVersions(cmd.Context(), tree, finder, args)
			}
			return app.bumpRecipe(cmd.Context(), tree, finder, append(args, "")[0], append(args, "", "")[1], dry)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&check, "check", false, "list newer versions and change nothing")
	flags.BoolVarP(&dry, "dry-run", "n", false, "say what would change and write nothing")
	flags.StringVar(&suite, "suite", draft.DefaultSuite, "the Debian `suite` to look in")
	return cmd
}

// completeRecipes completes the names of recipes.
func completeRecipes(dir *string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		tree, err := recipe.LoadTree(*dir, lintArch)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return tree.Names(), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *App) bumpRecipe(ctx context.Context, tree *recipe.Tree, finder *bump.Finder, name, to string, dry bool) error {
	r, err := tree.Recipe(name)
	if err != nil {
		return err
	}
	change, err := finder.Bump(ctx, r, to)
	if err != nil {
		return err
	}
	if change == nil {
		return a.Print(map[string]any{"schema": 1, "changed": false, "recipe": r.Name, "version": r.Version}, func(w io.Writer) {
			fmt.Fprintf(w, "%s %s is the newest version\n", r.Name, r.UpstreamVersion())
		})
	}
	if !dry {
		if err := change.Write(r, func(name string, data []byte) error { return durable.WriteFile(name, data, 0o644) }); err != nil {
			return err
		}
	}
	result := struct {
		Schema  int  `json:"schema"`
		Changed bool `json:"changed"`
		*bump.Change
	}{1, !dry, change}
	return a.Print(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s -> %s\n", change.File, change.From, change.To)
		for _, s := range change.Sources {
			fmt.Fprintf(w, "  %s: %s (%s)\n", s.ID, s.URL, mebibytes(s.Size))
		}
		for _, n := range change.Notes {
			fmt.Fprintf(w, "  look: %s\n", n)
		}
		if dry {
			fmt.Fprintln(w, "nothing was written")
		} else {
			fmt.Fprintf(w, "next: pkgtool build %s\n", change.Recipe)
		}
	})
}

func (a *App) checkVersions(ctx context.Context, tree *recipe.Tree, finder *bump.Finder, names []string) error {
	all := len(names) == 0
	if all {
		names = tree.Names()
	}
	list := []bump.Status{}
	for _, name := range names {
		r, err := tree.Recipe(name)
		if err != nil {
			return err
		}
		if all && !bump.Announced(r) {
			continue
		}
		list = append(list, finder.Check(ctx, r))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return a.Print(map[string]any{"schema": 1, "recipes": list}, func(w io.Writer) {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		outdated := 0
		for _, s := range list {
			switch {
			case s.Problem != "":
				a.Say("%s: %s", s.Recipe, s.Problem)
			case s.Outdated:
				outdated++
				fmt.Fprintf(table, "%s\t%s\t-> %s\n", s.Recipe, s.Version, s.Newest)
			case a.Verbose:
				fmt.Fprintf(table, "%s\t%s\tnewest\n", s.Recipe, s.Version)
			}
		}
		table.Flush()
		fmt.Fprintf(w, "%d of %d recipes have a newer version\n", outdated, len(list))
	})
}
