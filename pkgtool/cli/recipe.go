package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/seed"

	"github.com/spf13/cobra"
)

// recipeCommands are the commands that look at recipes without building.
func recipeCommands(app *App) []*cobra.Command {
	var dir string
	cmd := &cobra.Command{Use: "recipe", Short: "Check and explain recipes"}
	cmd.PersistentFlags().StringVar(&dir, "recipes", "recipes", "folder of all recipes")
	cmd.AddCommand(
		recipeLint(app, &dir), recipeShow(app, &dir), recipeGraph(app, &dir), recipeWhy(app, &dir),
		recipeNew(app, &dir), recipeBump(app, &dir),
		&cobra.Command{
			Use: "schema", Short: "Print the JSON Schema of a recipe", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				schema, err := recipe.Schema()
				if err != nil {
					return err
				}
				_, err = app.Out.Write(schema)
				return err
			},
		})
	return []*cobra.Command{cmd}
}

// lintArch is the architecture that recipes are checked for.
const lintArch = "x86_64"

func recipeLint(app *App, dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "lint [NAME...]", Short: "Report everything wrong with the recipes",
		RunE: func(_ *cobra.Command, names []string) error {
			tree, err := recipe.LoadTree(*dir, lintArch)
			if err != nil {
				return err
			}
			if len(names) > 0 {
				for _, name := range names {
					if _, err := tree.Recipe(name); err != nil {
						return err
					}
				}
			} else if seed, err := readSeed(*dir); err != nil {
				return err
			} else if err := tree.Lint(seed); err != nil {
				return err
			}
			return app.Print(map[string]any{"recipes": tree.Names()}, func(w io.Writer) {
				fmt.Fprintf(w, "%d recipes are fine\n", len(tree.Names()))
			})
		},
	}
}

func recipeShow(app *App, dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a recipe with everything filled in", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			tree, err := recipe.LoadTree(*dir, lintArch)
			if err != nil {
				return err
			}
			r, err := tree.Recipe(args[0])
			if err != nil {
				return err
			}
			plan := r.Plan()
			return app.Print(map[string]any{"recipe": r, "tools": r.Tools(), "plan": plan}, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s\n  %s\n  tools: %s\n  libs: %s\n", r.Name, r.EVR(), r.Summary,
					strings.Join(r.Tools(), " "), strings.Join(r.Build.Libs, " "))
				for _, s := range r.Sources {
					fmt.Fprintf(w, "  source %s: %s%s%s\n", s.ID, strings.Join(s.URLs, " "), s.Tree, s.GoSum)
				}
				for _, p := range r.Packages {
					fmt.Fprintf(w, "  package %s: %s\n", p.Name, p.Summary)
				}
				for _, c := range plan {
					fmt.Fprintf(w, "%s: %s\n", c.Phase, c.Name)
					text := c.Run
					if text == "" {
						text = strings.Join(c.Exec, " ")
					}
					fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    "))
				}
			})
		},
	}
}

func recipeGraph(app *App, dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "graph [NAME...]", Short: "Print which recipe is built before which, in build order",
		RunE: func(_ *cobra.Command, names []string) error {
			tree, err := recipe.LoadTree(*dir, lintArch)
			if err != nil {
				return err
			}
			seed, err := readSeed(*dir)
			if err != nil {
				return err
			}
			if seed == nil {
				return fmt.Errorf("the folder %s has no seed.lock, which names the build tools", *dir)
			}
			order, before, err := tree.Order(names, seed)
			if err != nil {
				return err
			}
			type node struct {
				Recipe string   `json:"recipe"`
				After  []string `json:"after"`
			}
			nodes := []node{}
			for _, r := range order {
				n := node{r.Name, []string{}}
				for _, b := range before[r] {
					n.After = append(n.After, b.Name)
				}
				nodes = append(nodes, n)
			}
			return app.Print(nodes, func(w io.Writer) {
				for _, n := range nodes {
					fmt.Fprintf(w, "%s: %s\n", n.Recipe, strings.Join(n.After, " "))
				}
			})
		},
	}
}

// readSeed returns the seed beside the recipes, or nil where there is none.
func readSeed(recipes string) (recipe.Seed, error) {
	lock, err := seed.ReadLock(filepath.Join(recipes, "seed.lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return lock, nil
}
