package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/release"
	"ashlar/repo"
	"ashlar/repo/advisory"
	"ashlar/repo/tuf"

	"github.com/spf13/cobra"
)

// repoAdvisory is the publisher's side of security advisories; users of a
// system have audit.
func repoAdvisory(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "advisory", Short: "Tell the users of a repository about vulnerabilities in its packages",
		Long: `Security advisories are documents in the OSV format, version 1, whose ecosystem
is ` + advisory.Ecosystem + `. They travel signed, together with the indexes; pkgtool audit compares
them with what is installed. Versions are [epoch:]1.2.3[-release]; one without a
release stands for all builds of that version.`,
		Example: `  pkgtool repo advisory add build/repo ASH-2026-0001.json && pkgtool repo publish build/repo
  pkgtool repo advisory list build/repo`,
	}
	cmd.AddCommand(advisoryAdd(app), advisoryList(app), advisoryRemove(app))
	return cmd
}

func advisoryAdd(app *App) *cobra.Command {
	recipes := ""
	cmd := &cobra.Command{
		Use: "add DIR [FILE...]", Short: "Take OSV documents in; clients see them after publish", Args: cobra.MinimumNArgs(1),
		Long: `Takes OSV documents in; clients see them after publish.

With --recipes it makes them from what recipes say they fixed (security.fixed),
one for each recipe and vulnerability; the repository's own newer ones stay.
"pkgtool image build" does that by itself.`,
		Example: `  pkgtool repo advisory add build/repo ASH-2026-0001.json
  pkgtool repo advisory add build/repo --recipes recipes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			if (recipes == "") == (len(args) == 1) {
				return fault.Errorf(fault.Usage, "give either files or --recipes")
			}
			if recipes != "" {
				added, err := addOfRecipes(cmd.Context(), r, recipes)
				if err != nil {
					return err
				}
				return app.printAdvisories(added)
			}
			var documents [][]byte
			for _, file := range args[1:] {
				data, err := readAdvisoryFile(file)
				if err != nil {
					return err
				}
				documents = append(documents, data)
			}
			added, err := r.AddAdvisories(cmd.Context(), documents...)
			if err != nil {
				return err
			}
			return app.printAdvisories(added)
		},
	}
	cmd.Flags().StringVar(&recipes, "recipes", "", "make them from the recipes below this folder")
	cmd.MarkFlagDirname("recipes")
	return cmd
}

func addOfRecipes(ctx context.Context, r *repo.Repository, dir string) ([]*advisory.Advisory, error) {
	tree, err := recipe.LoadTree(dir, lintArch)
	if err != nil {
		return nil, err
	}
	var all []*recipe.Recipe
	for _, name := range tree.Names() {
		one, err := tree.Recipe(name)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	documents, err := release.Advisories(all...)
	if err != nil {
		return nil, err
	}
	return r.AddNewerAdvisories(ctx, documents...)
}

func readAdvisoryFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, advisory.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if _, err := advisory.Parse(data); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", file, err), fault.Usage, "an advisory is a document in the OSV format: https://ossf.github.io/osv-schema")
	}
	return data, nil
}

func advisoryList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list DIR", Short: "List the advisories of a repository", Args: cobra.ExactArgs(1),
		Example: `  pkgtool repo advisory list build/repo --json`,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			all, err := r.Advisories()
			if err != nil {
				return err
			}
			return app.printAdvisories(all)
		},
	}
}

func advisoryRemove(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "remove DIR ID", Short: "Take an advisory out, from the next publish on", Args: cobra.ExactArgs(2),
		Long: `Takes an advisory out. For one that turned out wrong, adding it again with the
field "withdrawn" is better: those who have seen it learn so.`,
		Example: `  pkgtool repo advisory remove build/repo ASH-2026-0001`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			if err := r.RemoveAdvisory(cmd.Context(), args[1]); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "removed": args[1]}, func(w io.Writer) { fmt.Fprintln(w, args[1], "removed") })
		},
	}
}

func (a *App) printAdvisories(all []*advisory.Advisory) error {
	if all == nil {
		all = []*advisory.Advisory{}
	}
	return a.Print(map[string]any{"schema": 1, "advisories": all}, func(w io.Writer) {
		for _, one := range all {
			withdrawn := ""
			if !one.Withdrawn.IsZero() {
				withdrawn = "  (withdrawn)"
			}
			fmt.Fprintf(w, "%-20s %s  %s%s\n", one.ID, strings.Join(one.Packages(), ", "), tuf.Printable(one.Summary), withdrawn)
		}
	})
}
