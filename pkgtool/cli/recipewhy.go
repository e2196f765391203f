package cli

import (
	"fmt"
	"io"
	"strings"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

func recipeWhy(app *App, dir *string) *cobra.Command {
	var last bool
	cmd := &cobra.Command{
		Use: "why [NAME...]", Aliases: []string{"why-rebuild"},
		Short: "Say which recipes would be built again, and what changed",
		Long: `Compares what each recipe's build would see now with what its last build saw: variables,
steps, patches, files, sources, the packages of its root and the layers of the seed. A package
that changed is followed to the recipe it is of and to what changed there. Nothing is built.

Of a recipe that needs another one which is not built yet, nothing more can be said before.

With --last it says instead why the last build of the named recipes was not the one before.`,
		Example:           "  pkgtool recipe why\n  pkgtool recipe why-rebuild openssh\n  pkgtool recipe why --last glibc",
		ValidArgsFunction: completeRecipes(dir),
		RunE: func(cmd *cobra.Command, names []string) error {
			engine, err := build.Open(*dir)
			if err != nil {
				return err
			}
			config, err := (&sharedOptions{}).config(*dir)
			if err != nil {
				return err
			}
			engine.Interfaces = config.Interface
			if last {
				return whyLast(app, engine, names)
			}
			all, err := engine.Why(cmd.Context(), names)
			if err != nil {
				return err
			}
			return app.Print(all, func(w io.Writer) {
				for _, x := range all {
					if x.Cached {
						fmt.Fprintf(w, "%s: up to date\n", x.Recipe)
						continue
					}
					fmt.Fprintf(w, "%s: %s\n", x.Recipe, strings.Join(x.Why, ", "))
					printChanges(w, x.Changes, 1)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&last, "last", false, "explain the last build of the named recipes")
	return cmd
}

// lastBuild is what `recipe why --last` prints for a recipe.
type lastBuild struct {
	Recipe  string         `json:"recipe"`
	Changes []build.Change `json:"changes"`
}

func whyLast(app *App, engine *build.Engine, names []string) error {
	if len(names) == 0 {
		return fault.Errorf(fault.Usage, "name the recipes whose last build is to be explained")
	}
	var all []lastBuild
	for _, name := range names {
		if _, err := engine.Tree.Recipe(name); err != nil {
			return err
		}
		changes, err := engine.WhyLast(name)
		if err != nil {
			return err
		}
		all = append(all, lastBuild{name, changes})
	}
	return app.Print(all, func(w io.Writer) {
		for _, x := range all {
			fmt.Fprintln(w, x.Recipe+":")
			printChanges(w, x.Changes, 1)
		}
	})
}

// printChanges prints one line for each change, and below it what it follows
// from.
func printChanges(w io.Writer, list []build.Change, depth int) {
	for _, c := range list {
		text := c.String()
		switch {
		case c.Recipe != "":
			text += ", which is of " + c.Recipe
		case c.Field == "variable":
			text += fmt.Sprintf(": %s -> %s", shown(c.From), shown(c.To))
		}
		fmt.Fprintln(w, strings.Repeat("  ", depth)+printable(text))
		printChanges(w, c.Because, depth+1)
	}
}
