package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ashlar/pkgtool/build/draft"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

func recipeNew(app *App, dir *string) *cobra.Command {
	var o draft.Options
	var print bool
	cmd := &cobra.Command{
		Use: "new URL|FILE|debian:NAME", Short: "Write the first version of a recipe from an upstream archive", Args: cobra.ExactArgs(1),
		Long: `Fetches an archive, looks into it and writes recipes/NAME/recipe.yaml: which build
system it has (autotools, meson, cmake, make, go, python), version, licence, date,
what it needs of the packages here, and which packages it will give. The recipe
lints; what could not be found out stands at its head as TODO lines.

The sum that is pinned is that of the bytes that came, so look at them: a
signature of upstream's, or debian:NAME, whose sums Debian signed, says more.
Nothing of the archive is run. A file of this machine is copied into the recipe's
folder, unless --url says where everybody can fetch it.`,
		Example: `  pkgtool recipe new https://ftp.gnu.org/gnu/hello/hello-2.12.1.tar.gz
  pkgtool recipe new debian:hello
  pkgtool recipe new hello-2.12.1.tar.gz --url https://ftp.gnu.org/gnu/hello/hello-2.12.1.tar.gz
  pkgtool recipe new debian:jq --print`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.newRecipe(cmd.Context(), args[0], *dir, o, print)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Name, "name", "", "`name` of the recipe, instead of what the archive is called")
	flags.StringVar(&o.Version, "upstream-version", "", "upstream's `version`, where the archive's name does not say it")
	flags.StringVar(&o.URL, "url", "", "`address` at which a given file can be fetched")
	flags.StringVar(&o.Suite, "suite", draft.DefaultSuite, "the Debian `suite` of debian:NAME")
	flags.BoolVar(&print, "print", false, "print the recipe and write nothing")
	return cmd
}

func (a *App) newRecipe(ctx context.Context, what, dir string, o draft.Options, print bool) error {
	fetcher, err := source.Host()
	if err != nil {
		return err
	}
	tree, err := recipe.LoadTree(dir, lintArch)
	if err != nil {
		return err
	}
	o.Fetcher, o.Progress = fetcher, a.transfer()
	o.Has = func(name string) bool { return tree.Package(name) != nil }
	d, keep, err := draft.From(ctx, what, o)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, d.Name, recipe.FileName)
	if print {
		return a.Print(newRecipeResult{1, "", d, string(d.YAML())}, func(w io.Writer) { w.Write(d.YAML()) })
	}
	if err := writeDraft(d, filepath.Dir(file), keep); err != nil {
		return err
	}
	if tree, err = recipe.LoadTree(dir, lintArch); err != nil {
		return err
	}
	if _, err := tree.Recipe(d.Name); err != nil {
		return fault.Mark(fmt.Errorf("%s was written, and has mistakes: %w", file, err), fault.Usage, "correct them, then: pkgtool recipe lint "+d.Name)
	}
	return a.Print(newRecipeResult{1, file, d, string(d.YAML())}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s %s, built with %s, %s\n", file, d.Name, d.UpstreamVersion(), d.System, d.License)
		for _, n := range d.Notes {
			fmt.Fprintf(w, "  look: %s\n", n)
		}
		fmt.Fprintf(w, "next: pkgtool build %s\n", d.Name)
	})
}

type newRecipeResult struct {
	Schema int          `json:"schema"`
	File   string       `json:"file,omitempty"`
	Draft  *draft.Draft `json:"draft"`
	Recipe string       `json:"recipe"` // the text of recipe.yaml
}

// writeDraft writes a recipe's folder, which must not have a recipe yet.
func writeDraft(d *draft.Draft, folder, keep string) error {
	if _, err := os.Lstat(filepath.Join(folder, recipe.FileName)); err == nil {
		return fault.Mark(fmt.Errorf("there is a recipe %s already", d.Name), fault.Usage,
			"pkgtool recipe bump "+d.Name+" takes it to another version; --name gives the new one another name")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if keep != "" {
		if err := copyInto(keep, filepath.Join(folder, filepath.Base(keep))); err != nil {
			return err
		}
	}
	for name, data := range d.Files {
		if err := durable.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			return err
		}
	}
	return durable.WriteFile(filepath.Join(folder, recipe.FileName), d.YAML(), 0o644)
}

func copyInto(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return durable.Write(to, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}
