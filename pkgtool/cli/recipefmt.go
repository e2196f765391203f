package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

func recipeFmt(app *App, dir *string) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "fmt [NAME...]", Short: "Write recipes in the canonical layout",
		Long: `Write recipes (all when none is named) in the canonical layout: keys in their
order, one empty line between sections, no white space at the ends of lines.
Comments and the layout inside a section stay. A file that would say something
else afterwards is left alone.`,
		Example: `  pkgtool recipe fmt openssh
  pkgtool recipe fmt --check        # in CI: exit code 1 and the names, nothing is written`,
		ValidArgsFunction: completeRecipes(dir),
		RunE: func(_ *cobra.Command, names []string) error {
			tree, err := recipe.LoadTree(*dir, lintArch)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				names = tree.Names()
			}
			changed := []string{}
			for _, name := range names {
				file := filepath.Join(tree.Dir, name, recipe.FileName)
				data, err := os.ReadFile(file)
				if err != nil {
					return fault.Mark(err, fault.Usage, "pkgtool recipe lint lists what there is")
				}
				formatted, err := recipe.Format(file, data)
				if err != nil {
					return err
				}
				if bytes.Equal(data, formatted) {
					continue
				}
				changed = append(changed, name)
				if !check {
					if err := durable.WriteFile(file, formatted, 0o644); err != nil {
						return err
					}
				}
			}
			if err := app.Print(map[string]any{"changed": changed}, func(w io.Writer) {
				for _, name := range changed {
					fmt.Fprintln(w, name)
				}
			}); err != nil {
				return err
			}
			if check && len(changed) > 0 {
				return fault.Mark(fmt.Errorf("%d recipes are not in the canonical layout", len(changed)), fault.Failed, "pkgtool recipe fmt")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; fail if something would be written")
	return cmd
}
