package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"ashlar/pkgtool/build/seed"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func seedCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "Manage the tool chain that the first build starts from",
		Long: `The seed is a set of Debian packages, pinned in recipes/seed.lock and unpacked
by pkgtool itself into layers of a build root. Nothing of this host is used.`,
	}
	var path string
	cmd.PersistentFlags().StringVar(&path, "lock", "recipes/seed.lock", "the lock `file`")
	cmd.AddCommand(seedLock(app, &path), seedVerify(app, &path), seedShow(app, &path), seedFetch(app, &path))
	return []*cobra.Command{cmd}
}

func seedLock(app *App, path *string) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Make the lock file anew from the suite's signed index",
		Long: `Takes what the lock file's "wanted" lists ask for, and all that depends on, from
the package index of the host's Debian mirror, after checking the index against
the archive's OpenPGP signature, and writes path, SHA-256 and size of each
package. Review the difference before you commit it.`,
		Example: "  pkgtool seed lock\n  pkgtool seed lock --check   # only say whether the file is up to date",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			old, err := seed.ReadWanted(*path)
			if err != nil {
				return err
			}
			fetcher, err := source.Host()
			if err != nil {
				return err
			}
			fresh, err := seed.Relock(cmd.Context(), old, fetcher, app.transfer())
			if err != nil {
				return err
			}
			before, err := os.ReadFile(*path)
			if err != nil {
				return err
			}
			text := fresh.Marshal()
			same := bytes.Equal(before, text)
			if check && !same {
				return fault.Mark(fmt.Errorf("%s is not what the index of %s gives today", *path, old.Suite), fault.Failed, "pkgtool seed lock")
			}
			if !same {
				if err := durable.WriteFile(*path, text, 0o644); err != nil {
					return err
				}
			}
			return app.Print(seedSummary(fresh, !same), func(w io.Writer) { printLayers(w, fresh) })
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; fail if the file would change")
	return cmd
}

type seedReport struct {
	Schema  int           `json:"schema"`
	Release string        `json:"release"`
	Changed bool          `json:"changed"`
	Layers  []layerReport `json:"layers"`
}

type layerReport struct {
	Name     string        `json:"name"`
	Digest   string        `json:"digest"`
	Size     int64         `json:"size"` // bytes to fetch, Go modules not counted
	Packages []entryReport `json:"packages"`
}

type entryReport struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Size    int64  `json:"size"`
}

func seedSummary(l *seed.Lock, changed bool) seedReport {
	report := seedReport{Schema: 1, Release: l.Release, Changed: changed}
	for _, name := range l.LayerNames() {
		layer := layerReport{Name: name, Digest: l.Digest(name)}
		for _, e := range l.Layers[name] {
			layer.Size += e.Size
			layer.Packages = append(layer.Packages, entryReport{e.Name(), e.Version(), e.Size})
		}
		report.Layers = append(report.Layers, layer)
	}
	return report
}

func printLayers(w io.Writer, l *seed.Lock) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "LAYER\tPACKAGES\tSIZE\tDIGEST\n")
	for _, layer := range seedSummary(l, false).Layers {
		fmt.Fprintf(table, "%s\t%d\t%s\t%.16s\n", layer.Name, len(layer.Packages), mebibytes(layer.Size), layer.Digest)
	}
	table.Flush()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func seedShow(app *App, path *string) *cobra.Command {
	return &cobra.Command{
		Use:     "show [LAYER]",
		Short:   "Show the layers, or one layer's packages",
		Example: "  pkgtool seed show\n  pkgtool seed show gcc",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := seed.ReadLock(*path)
			if err != nil {
				return err
			}
			report := seedSummary(l, false)
			if len(args) == 0 {
				return app.Print(report, func(w io.Writer) { printLayers(w, l) })
			}
			i := slices.IndexFunc(report.Layers, func(r layerReport) bool { return r.Name == args[0] })
			if i < 0 {
				return fault.Errorf(fault.Usage, "the seed has no layer %q", args[0])
			}
			return app.Print(report.Layers[i], func(w io.Writer) {
				table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, p := range report.Layers[i].Packages {
					fmt.Fprintf(table, "%s\t%s\t%s\n", p.Name, p.Version, mebibytes(p.Size))
				}
				table.Flush()
			})
		},
	}
}

func seedFetch(app *App, path *string) *cobra.Command {
	return &cobra.Command{
		Use:     "fetch [LAYER...]",
		Short:   "Fetch and unpack layers into the cache; all of them by default",
		Long:    "Prints the folder of each layer's tree. A layer that is there already costs nothing.",
		Example: "  pkgtool seed fetch\n  pkgtool seed fetch base gcc",
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := seed.ReadLock(*path)
			if err != nil {
				return err
			}
			fetcher, err := source.Host()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = l.LayerNames()
			}
			dirs := map[string]string{}
			for _, layer := range args {
				dir, err := seed.Materialize(cmd.Context(), l, layer, fetcher, fetcher.CacheDir, app.layer())
				if err != nil {
					return err
				}
				dirs[layer] = dir
			}
			return app.Print(dirs, func(w io.Writer) {
				for _, layer := range args {
					fmt.Fprintf(w, "%s\t%s\n", layer, dirs[layer])
				}
			})
		},
	}
}

func seedVerify(app *App, path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check that every pinned file can be had and has its sum",
		Long:  "Fetches what the cache does not have, checks every file's sum, and lists all problems.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := seed.ReadLock(*path)
			if err != nil {
				return err
			}
			fetcher, err := source.Host()
			if err != nil {
				return err
			}
			var sources []source.Source
			for _, layer := range l.LayerNames() {
				for _, e := range l.Layers[layer] {
					sources = append(sources, e.Source())
				}
			}
			if err := fetchAll(cmd.Context(), fetcher, sources); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "files": len(sources)}, func(w io.Writer) {
				fmt.Fprintf(w, "%d files, all as pinned\n", len(sources))
			})
		},
	}
}

// fetchAll fetches every source and joins all that went wrong.
func fetchAll(ctx context.Context, fetcher *source.Fetcher, sources []source.Source) error {
	problems := make([]error, len(sources))
	var group errgroup.Group
	group.SetLimit(source.Transfers)
	for i, s := range sources {
		group.Go(func() error {
			_, problems[i] = fetcher.Fetch(ctx, s, nil)
			return nil
		})
	}
	group.Wait()
	return errors.Join(problems...)
}
