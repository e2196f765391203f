package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
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
		recipeNew(app, &dir), recipeBump(app, &dir), recipeFmt(app, &dir),
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
	var rules bool
	cmd := &cobra.Command{
		Use: "lint [NAME...]", Short: "Report everything wrong with recipes",
		Long: `Report everything wrong with the named recipes, or with all of them, their
pipelines and what lies between them: each with file, line and column.`,
		Example:           "  pkgtool recipe lint\n  pkgtool recipe lint openssh\n  pkgtool recipe lint --rules",
		ValidArgsFunction: completeRecipes(dir),
		RunE: func(_ *cobra.Command, names []string) error {
			if rules {
				return printRules(app)
			}
			tree, err := recipe.LoadTree(*dir, lintArch)
			if err != nil {
				return err
			}
			seed, err := readSeed(*dir)
			if err != nil {
				return err
			}
			if err := tree.Lint(seed, names...); err != nil {
				return err
			}
			if len(names) == 0 {
				names = tree.Names()
			}
			return app.Print(map[string]any{"recipes": names}, func(w io.Writer) {
				fmt.Fprintf(w, "%d recipes are fine\n", len(names))
			})
		},
	}
	cmd.Flags().BoolVar(&rules, "rules", false, "list what is looked for, in recipes and in built files")
	return cmd
}

// printRules lists what lint and packing look for.
func printRules(app *App) error {
	return app.Print(map[string]any{"recipes": recipe.Rules, "files": recipe.Findings}, func(w io.Writer) {
		fmt.Fprintln(w, "In recipes:")
		for _, r := range recipe.Rules {
			fmt.Fprintf(w, "  %-18s %s\n", r.ID, r.Text)
		}
		fmt.Fprintln(w, "In built files; lint.allow excepts from them, with a reason:")
		for _, f := range recipe.Findings {
			fmt.Fprintf(w, "  %-18s %s; %s\n", f.ID, f.Rule, f.Remedy)
		}
	})
}

func recipeShow(app *App, dir *string) *cobra.Command {
	var chosen []string
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show a recipe with everything filled in", Args: cobra.ExactArgs(1),
		Example:           "  pkgtool recipe show zlib\n  pkgtool recipe show openssh --option openssh.pam=false",
		ValidArgsFunction: completeRecipes(dir),
		RunE: func(_ *cobra.Command, args []string) error {
			options, err := parseOptions(chosen)
			if err != nil {
				return err
			}
			tree, err := recipe.LoadTreeWith(*dir, recipe.Settings{Arch: lintArch, Options: options})
			if err != nil {
				return err
			}
			r, err := tree.Recipe(args[0])
			if err != nil {
				return err
			}
			plan := r.Plan()
			return app.Print(map[string]any{"recipe": r, "options": r.Choices(), "tools": r.Tools(), "plan": plan}, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s\n  %s\n  tools: %s\n  libs: %s\n", r.Name, r.EVR(), r.Summary,
					strings.Join(r.Tools(), " "), strings.Join(r.Build.Libs, " "))
				for _, name := range slices.Sorted(maps.Keys(r.Choices())) {
					fmt.Fprintf(w, "  option %s = %s: %s\n", name, r.Choices()[name], r.Options[name].Summary)
				}
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
	cmd.Flags().StringArrayVar(&chosen, "option", nil, "choose a recipe's option, as `RECIPE.OPTION=VALUE`")
	return cmd
}

func recipeGraph(app *App, dir *string) *cobra.Command {
	var dot bool
	cmd := &cobra.Command{
		Use: "graph [NAME...]", Short: "Print which recipe is built before which, in build order",
		Long: `Print the named recipes (all when none is named) and what they need, each with
what it is built after, in build order.`,
		Example:           "  pkgtool recipe graph openssh\n  pkgtool recipe graph --dot @base | dot -Tsvg >graph.svg",
		ValidArgsFunction: completeRecipes(dir),
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
				if dot {
					fmt.Fprintln(w, "digraph recipes {")
				}
				for _, n := range nodes {
					if !dot {
						fmt.Fprintf(w, "%s: %s\n", n.Recipe, strings.Join(n.After, " "))
						continue
					}
					fmt.Fprintf(w, "  %q\n", n.Recipe)
					for _, after := range n.After {
						fmt.Fprintf(w, "  %q -> %q\n", n.Recipe, after)
					}
				}
				if dot {
					fmt.Fprintln(w, "}")
				}
			})
		},
	}
	cmd.Flags().BoolVar(&dot, "dot", false, "print it in the language of graphviz")
	return cmd
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
