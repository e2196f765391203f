package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/iso"
	"ashlar/pkgtool/build"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/release"

	"github.com/spf13/cobra"
)

// imageCommands make and examine bootable images.
func imageCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Make images from recipes, and look into them",
		Long: `An image is what a definition (iso/images/NAME.yaml) says: packages, a kernel,
users, services, files. It comes as live system on an ISO, as disk of a virtual
machine, over the network, or as container. Make your own: pkgtool image new.`,
	}
	cmd.AddCommand(imageNew(app), imageBuild(app), imageList(app), imageShow(app), imageInspect(app), imageDiff(app), imageSchema(app))
	return []*cobra.Command{cmd}
}

const definitions = "iso/images"

func imageBuild(app *App) *cobra.Command {
	var o release.Options
	var recipes, images string
	var jobs, parallel int
	var keepGoing bool
	cmd := &cobra.Command{
		Use: "build NAME|FILE", Short: "Build the packages, publish them, and assemble the image", Args: cobra.ExactArgs(1),
		Long: `Builds from source what the image contains and offers, signs it with your
default key (made on first use), publishes it as a repository, and assembles the
image, which trusts that repository. All of it is in --out: packages/, repo/ and
ashlar-NAME.iso (or what the format is) with a manifest beside it. What has not
changed is not done again.

Formats:
` + formatHelp(),
		Example: `  pkgtool image build minimal
  pkgtool image build server --format iso,qcow2
  pkgtool image build iso/images/minimal.yaml --out build && pkgtool boot build/ashlar-minimal.iso`,
		RunE: func(cmd *cobra.Command, args []string) error {
			start := time.Now()
			image, err := iso.Find(images, args[0])
			if err != nil {
				return err
			}
			for _, f := range o.Formats {
				if _, err := iso.FormatOf(f); err != nil {
					return fault.Mark(err, fault.Usage, "")
				}
			}
			if o.Engine, err = build.Open(recipes); err != nil {
				return err
			}
			o.Engine.Jobs, o.Engine.Parallel, o.Engine.KeepGoing = jobs, parallel, keepGoing
			report, closeReport := BuildReporter(app)
			defer closeReport()
			o.Engine.Report = report
			o.Image = image
			o.Progress = func(step string) { app.Say("%-10s %s", "step", step) }
			result, err := release.Image(cmd.Context(), o)
			if err != nil {
				return err
			}
			if result.KeyMade != "" {
				app.Say("made a development key, %s; pkgtool key shows it", result.KeyMade)
			}
			if !slices.ContainsFunc(result.Images, func(i *iso.Result) bool { return !i.Cached }) {
				app.Say("nothing changed (%.1f s)", time.Since(start).Seconds())
			} else {
				app.Say("done in %.1f s", time.Since(start).Seconds())
			}
			return app.Print(struct {
				Schema int `json:"schema"`
				*release.Result
			}{1, result}, func(w io.Writer) { printImage(w, result) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&recipes, "recipes", "recipes", "folder of all recipes")
	f.StringVar(&images, "images", definitions, "folder of the image definitions")
	f.StringSliceVar(&o.Formats, "format", nil, "formats to make instead of the definition's, separated by commas")
	f.StringVar(&o.Out, "out", "build", "folder for packages, repository and image")
	f.IntVarP(&jobs, "jobs", "j", 0, "jobs of one build; 0 means one per core")
	f.IntVar(&parallel, "parallel", 0, "recipes built at a time; 0 means 2")
	f.BoolVar(&keepGoing, "keep-going", false, "after a failure, build what does not depend on it")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.ValidArgsFunction = completeImages(&images)
	return cmd
}

func formatNames() (names []string) {
	for _, f := range iso.Formats() {
		names = append(names, f.Name)
	}
	return names
}

func formatHelp() string {
	var b strings.Builder
	for _, f := range iso.Formats() {
		fmt.Fprintf(&b, "  %-8s %s (%s)\n", f.Name, f.Summary, f.Ending)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func printImage(w io.Writer, r *release.Result) {
	for _, i := range r.Images {
		fmt.Fprintf(w, "image       %s\n", i.Path)
		fmt.Fprintf(w, "size        %d (%.1f MiB)\n", i.Size, float64(i.Size)/(1<<20))
		fmt.Fprintf(w, "sha256      %s\n", i.SHA256)
	}
	fmt.Fprintf(w, "packages    %d in the image, %d in %s\n", len(r.Installed), len(r.Packages), r.Repository)
	if r.Medium != nil {
		fmt.Fprintf(w, "medium      %d packages on the ISO, from %s\n", r.Medium.Packages, r.Medium.Folder)
	}
	for _, p := range r.Phases {
		fmt.Fprintf(w, "%7.1f s   %s\n", p.Seconds, p.Step)
	}
	if r.Boot != "" {
		fmt.Fprintf(w, "boot it     %s\n", bootCommand(r.Boot))
	}
}

// bootCommand names this program as it can be called from here.
func bootCommand(command string) string {
	self, err := os.Executable()
	if err != nil {
		return command
	}
	here, err := os.Getwd()
	if err != nil {
		return command
	}
	if rel, err := filepath.Rel(here, self); err == nil && filepath.IsLocal(rel) {
		return strings.Replace(command, "pkgtool", rel, 1)
	}
	return command
}

func imageList(app *App) *cobra.Command {
	var images string
	cmd := &cobra.Command{
		Use: "list", Short: "List the image definitions", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			names, err := iso.Names(images)
			if err != nil {
				return err
			}
			type line struct {
				Name    string   `json:"name"`
				Summary string   `json:"summary"`
				Kernel  string   `json:"kernel"`
				Formats []string `json:"formats"`
			}
			list := []line{}
			for _, name := range names {
				image, err := iso.Find(images, name)
				if err != nil {
					return err
				}
				list = append(list, line{image.Name, image.Summary, image.Kernel, image.Formats})
			}
			return app.Print(map[string]any{"schema": 1, "images": list}, func(w io.Writer) {
				for _, l := range list {
					fmt.Fprintf(w, "%-16s %-32s %s\n", l.Name, l.Summary, strings.Join(l.Formats, ", "))
				}
			})
		},
	}
	cmd.Flags().StringVar(&images, "images", definitions, "folder of the image definitions")
	return cmd
}

func imageInspect(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE", Short: "Show what an image contains and how it can be started", Args: cobra.ExactArgs(1),
		Example: `  pkgtool image inspect build/ashlar-minimal.iso
  pkgtool image inspect --json build/ashlar-minimal.iso | jq '.manifest.packages[].name'`,
		RunE: func(_ *cobra.Command, args []string) error {
			i, err := iso.Inspect(args[0])
			if err != nil {
				return err
			}
			return app.Print(i, func(w io.Writer) { printInspection(w, i) })
		},
	}
}

func printInspection(w io.Writer, i *iso.Inspection) {
	m := i.Manifest
	fmt.Fprintf(w, "image       %s: %s\n", printable(m.Name), printable(m.Summary))
	fmt.Fprintf(w, "format      %s\n", printable(m.Format))
	if i.Volume != "" {
		fmt.Fprintf(w, "volume      %s\n", printable(i.Volume))
	}
	fmt.Fprintf(w, "size        %d (%.1f MiB)\n", i.Size, float64(i.Size)/(1<<20))
	fmt.Fprintf(w, "sha256      %s\n", i.SHA256)
	if i.Starts != nil {
		fmt.Fprintf(w, "starts      %s\n", strings.Join(i.Starts, ", "))
	}
	if m.Kernel != "" {
		fmt.Fprintf(w, "kernel      %s\n", printable(m.Kernel))
		fmt.Fprintf(w, "cmdline     %s\n", printable(m.Cmdline))
	}
	if i.Root != nil {
		fmt.Fprintf(w, "root        %d inodes, %.1f MiB compressed\n", i.Root.Inodes, float64(i.Root.Used)/(1<<20))
	}
	fmt.Fprintln(w, "packages")
	for _, p := range m.Packages {
		fmt.Fprintf(w, "  %-20s %-16s %s\n", printable(p.Name), printable(p.Version), printable(p.Arch))
	}
	if i.Files != nil {
		fmt.Fprintln(w, "files")
	}
	for _, f := range i.Files {
		fmt.Fprintf(w, "  %12d %s\n", f.Size, printable(f.Path))
	}
}

func imageSchema(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of an image definition", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := iso.Schema()
			if err != nil {
				return err
			}
			_, err = app.Out.Write(schema)
			return err
		},
	}
}
