package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

func sourceCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{Use: "source", Short: "Fetch, check, unpack and find sources"}
	cmd.AddCommand(sourceFetch(app), sourceVerify(app), sourceMirror(app), sourcePin(app), sourceFind(app), sourceUnpack(app))
	return []*cobra.Command{cmd}
}

func sourceFetch(app *App) *cobra.Command {
	var s source.Source
	var o recipeSources
	cmd := &cobra.Command{
		Use:   "fetch [RECIPE...] | --sha256 SUM URI...",
		Short: "Fetch what recipes pin, or one pinned file, into the cache",
		Long: `Fetches everything the named recipes build from; that of all recipes, and the seed,
when none is named. RECIPE is a recipe, a package or @GROUP.

With --sha256 or --h1 it fetches one file and prints where it is. All URIs are
places of the same file. mirror://debian/PATH is found through this
host's apt configuration, or through mirrors.yaml in the user's configuration
folder; gomod://module@version through the Go module proxy in force.`,
		Example: `  pkgtool source fetch openssh zlib
  pkgtool source fetch --sha256 SUM mirror://debian/pool/main/h/hello/hello_2.10.orig.tar.gz
  pkgtool source fetch --h1 h1:SUM gomod://golang.org/x/mod@v0.42.0`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.SHA256+s.H1 == "" && o.mean(cmd, args) {
				return o.fetch(cmd.Context(), app, args)
			}
			fetcher, err := source.Host()
			if err != nil {
				return err
			}
			if fetcher.Base, err = filepath.Abs("."); err != nil {
				return err
			}
			s.URIs = args
			path, err := fetcher.Fetch(cmd.Context(), s, app.transfer())
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "path": path}, func(w io.Writer) { fmt.Fprintln(w, path) })
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&s.SHA256, "sha256", "", "the file's SHA-256 in `hex`")
	cmd.Flags().StringVar(&s.H1, "h1", "", "the Go module's h1 `sum`")
	cmd.Flags().Int64Var(&s.Size, "size", 0, "the file's size in `bytes`, if known")
	return cmd
}

func sourceVerify(app *App) *cobra.Command {
	var o recipeSources
	var remote bool
	cmd := &cobra.Command{
		Use:   "verify [--remote [RECIPE...]]",
		Short: "Check every file of the source cache against its sum, or ask whether sources are still to be had",
		Long: `Checks every file of the source cache against its sum.

With --remote it asks instead, for every place of every source of the named
recipes, or of all recipes and the seed, whether the file is still there and has
its size. Nothing is fetched, so other bytes of the same size are not seen.`,
		Example: `  pkgtool source verify
  pkgtool source verify --remote --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if remote {
				return o.verifyRemote(cmd.Context(), app, args)
			}
			if len(args) > 0 {
				return fault.Errorf(fault.Usage, "recipes are named only with --remote")
			}
			fetcher, err := source.Host()
			if err != nil {
				return err
			}
			report, err := fetcher.VerifyCache(cmd.Context())
			if err != nil {
				return err
			}
			if err := app.Print(report, func(w io.Writer) {
				for _, path := range report.Damaged {
					fmt.Fprintf(w, "damaged: %s\n", path)
				}
				fmt.Fprintf(w, "%d files checked, %s, %d damaged\n", report.Files, mebibytes(report.Size), len(report.Damaged))
			}); err != nil {
				return err
			}
			if len(report.Damaged) > 0 {
				return fault.Mark(errors.New("the cache has damaged files"), fault.Security, "remove them; they are fetched again when needed")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&remote, "remote", false, "ask the places of the sources")
	o.flags(cmd)
	return cmd
}

func sourceFind(app *App) *cobra.Command {
	var suite string
	cmd := &cobra.Command{
		Use:     "find NAME",
		Short:   "Show path, size and sum of a Debian source package's files, for a recipe",
		Example: "  pkgtool source find zlib\n  pkgtool source find --suite trixie glibc",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := findSource(cmd.Context(), suite, args[0], app.transfer())
			if err != nil {
				return err
			}
			return app.Print(found, func(w io.Writer) {
				table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, f := range found {
					fmt.Fprintf(table, "%s\t%d\t%s\n", f.URI, f.Size, f.SHA256)
				}
				table.Flush()
			})
		},
	}
	cmd.Flags().StringVar(&suite, "suite", "bookworm", "the Debian `suite`")
	return cmd
}

type foundFile struct {
	Version string `json:"version"`
	URI     string `json:"uri"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
}

func findSource(ctx context.Context, suite, name string, progress source.Progress) ([]foundFile, error) {
	fetcher, err := source.Host()
	if err != nil {
		return nil, err
	}
	archive, err := source.OpenDebian(ctx, fetcher, suite)
	if err != nil {
		return nil, err
	}
	packages, err := archive.Find(ctx, name, progress)
	if err != nil {
		return nil, err
	}
	var all []foundFile
	for _, p := range packages {
		for _, f := range p.Files {
			all = append(all, foundFile{p.Version, "mirror://debian/" + f.Path, f.File.Size, f.File.SHA256})
		}
	}
	return all, nil
}

func sourceUnpack(app *App) *cobra.Command {
	var strip int
	cmd := &cobra.Command{
		Use:     "unpack ARCHIVE FOLDER",
		Short:   "Unpack an archive the way a build does",
		Example: "  pkgtool source unpack --strip 1 hello_2.10.orig.tar.gz hello",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return source.Unpack(cmd.Context(), args[0], args[1], strip)
		},
	}
	cmd.Flags().IntVar(&strip, "strip", 0, "leave out this many leading path `components`")
	return cmd
}
