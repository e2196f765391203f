package cli

import (
	"fmt"
	"io"

	"ashlar/iso"
	"ashlar/pkgtool/build/recipe"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

func imageNew(app *App) *cobra.Command {
	var images, from, summary string
	cmd := &cobra.Command{
		Use: "new NAME", Short: "Begin an image of your own as a copy of another", Args: cobra.ExactArgs(1),
		Long: `Writes NAME.yaml into the folder of image definitions, as a copy of the
definition --from with its comments. Edit it: packages and @groups, users and
their SSH keys, services, files, kernel fragments, branding. All keys stand in
docs/formats/image.md; pkgtool image schema lets an editor complete them.`,
		Example: `  pkgtool image new mine --from server --summary "Our server"
  pkgtool image build mine --format qcow2`,
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := iso.Draft(images, args[0], from, summary)
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "file": path}, func(w io.Writer) {
				fmt.Fprintf(w, "wrote %s; edit it, then: pkgtool image build %s\n", path, args[0])
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&images, "images", definitions, "folder of the image definitions")
	f.StringVar(&from, "from", "minimal", "definition to copy, by name or file")
	f.StringVar(&summary, "summary", "", "one line that says what it is; also the title in the boot menu")
	cmd.RegisterFlagCompletionFunc("from", completeImages(&images))
	return cmd
}

func imageShow(app *App) *cobra.Command {
	var images, recipes string
	cmd := &cobra.Command{
		Use: "show NAME|FILE", Short: "Show a definition with its defaults, its groups replaced by packages", Args: cobra.ExactArgs(1),
		Example: `  pkgtool image show server
  pkgtool image show server --json | jq -r '.image.packages[]'`,
		RunE: func(_ *cobra.Command, args []string) error {
			image, err := iso.Find(images, args[0])
			if err != nil {
				return err
			}
			err = image.Expand(func(group string) ([]string, error) {
				tree, err := recipe.LoadTree(recipes, "x86_64")
				if err != nil {
					return nil, err
				}
				return tree.Group(group)
			})
			if err != nil {
				return err
			}
			text, err := yaml.Marshal(image)
			if err != nil {
				return err
			}
			var fields map[string]any
			if err := yaml.Unmarshal(text, &fields); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "image": fields}, func(w io.Writer) { w.Write(text) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&images, "images", definitions, "folder of the image definitions")
	f.StringVar(&recipes, "recipes", "recipes", "folder of all recipes, for the groups")
	cmd.ValidArgsFunction = completeImages(&images)
	return cmd
}

func imageDiff(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "diff OLD NEW", Short: "Show which packages differ between two images", Args: cobra.ExactArgs(2),
		Long: `Compares two finished images, of any format, or their manifests (.json): packages
that came, went, changed, or were rebuilt with the same version; kernel and
command line.`,
		Example: `  pkgtool image diff last/ashlar-server.iso build/ashlar-server.iso
  pkgtool image diff build/ashlar-minimal.json build/ashlar-mine.qcow2`,
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := iso.ReadManifest(args[0])
			if err != nil {
				return err
			}
			after, err := iso.ReadManifest(args[1])
			if err != nil {
				return err
			}
			d := iso.Compare(before, after)
			return app.Print(d, func(w io.Writer) { printImageDifference(w, d) })
		},
	}
}

func printImageDifference(w io.Writer, d *iso.Difference) {
	if len(d.Fields)+len(d.Packages) == 0 {
		fmt.Fprintln(w, "nothing differs")
	}
	for _, f := range d.Fields {
		fmt.Fprintf(w, "%s: %s -> %s\n", f.Field, printable(orNone(f.Old)), printable(orNone(f.New)))
	}
	for _, p := range d.Packages {
		switch p.What {
		case "added":
			fmt.Fprintf(w, "+ %s %s\n", printable(p.Name), printable(p.New))
		case "removed":
			fmt.Fprintf(w, "- %s %s\n", printable(p.Name), printable(p.Old))
		case "changed":
			fmt.Fprintf(w, "  %s %s -> %s\n", printable(p.Name), printable(p.Old), printable(p.New))
		default:
			fmt.Fprintf(w, "  %s %s rebuilt\n", printable(p.Name), printable(p.New))
		}
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// completeImages offers the definitions in a folder that a flag names.
func completeImages(images *string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		names, err := iso.Names(*images)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names, cobra.ShellCompDirectiveDefault
	}
}
