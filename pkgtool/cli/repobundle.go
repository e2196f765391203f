package cli

import (
	"fmt"
	"io"

	"ashlar/pkgtool/durable"
	"ashlar/repo/mirror"
	"ashlar/repo/mirror/bundle"
	"ashlar/repo/store"
	"ashlar/repo/transport"

	"github.com/spf13/cobra"
)

func repoBundle(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bundle", Short: "Carry a repository to where no network leads",
		Long: `A bundle is one file that makes a mirror show a state of a repository, wherever
it is carried. Importing verifies it exactly as a mirror verifies its source.`,
		Example: `  pkgtool repo bundle export https://packages.example.org/ all.bundle --root-file root.json
  pkgtool repo bundle import all.bundle /srv/mirror --root-file root.json
  pkgtool repo bundle have /srv/mirror -o have            # carry this back
  pkgtool repo bundle export https://packages.example.org/ new.bundle --root-file root.json --since have
  pkgtool repo bundle import new.bundle /srv/mirror`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(repoBundleExport(app), repoBundleImport(app), repoBundleHave(app))
	return cmd
}

func repoBundleExport(app *App) *cobra.Command {
	var flags mirrorFlags
	var since string
	cmd := &cobra.Command{
		Use: "export SOURCE... FILE", Short: "Write the state that SOURCE shows to a file", Args: cobra.MinimumNArgs(2),
		Long: `Writes a state of a repository, verified, to one tar file. The same state gives
the same bytes. With --since, what the other side has is left out: name what
pkgtool repo bundle have wrote there, an earlier bundle, or a folder with a copy
of that mirror.`,
		Example: `  pkgtool repo bundle export /srv/mirror all.bundle
  pkgtool repo bundle export https://packages.example.org/ new.bundle --root-file root.json --since have`,
		RunE: func(cmd *cobra.Command, args []string) error {
			last := len(args) - 1
			o, err := flags.options(app, args[last], args[:last]...)
			if err != nil {
				return err
			}
			have := bundle.Have{}
			if since != "" {
				if have, err = bundle.ReadHave(cmd.Context(), since); err != nil {
					return err
				}
			}
			sources, done, err := openSources(cmd.Context(), args[:last])
			if err != nil {
				return err
			}
			defer done()
			files, err := mirror.Current(cmd.Context(), sources, o)
			if err != nil {
				return err
			}
			defer files.Close()
			var header *bundle.Header
			err = durable.Write(args[last], 0o644, func(w io.Writer) (err error) {
				header, err = bundle.Export(cmd.Context(), w, files, have, o.Progress)
				return err
			})
			app.clearLine()
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "bundle": header}, func(w io.Writer) {
				fmt.Fprintf(w, "%s holds version %d: %d files, %s", args[last], header.Version, header.Files, mebibytes(header.Bytes))
				if header.LeftOut > 0 {
					fmt.Fprintf(w, "; %d files are left out", header.LeftOut)
				}
				fmt.Fprintln(w)
			})
		},
	}
	flags.trust(cmd)
	flags.part(cmd)
	flags.option.Jobs = 1
	cmd.Flags().StringVar(&since, "since", "", "leave out what the other side has: a have file, an earlier bundle, or a folder")
	return cmd
}

func repoBundleImport(app *App) *cobra.Command {
	var flags mirrorFlags
	cmd := &cobra.Command{
		Use: "import FILE MIRROR", Short: "Make MIRROR show the state in a bundle", Args: cobra.ExactArgs(2),
		Long: `Makes MIRROR, a folder or a store, show the state in the bundle, as pkgtool repo
mirror does from a network: verified, all at once, never going back. The first
time, say which root is to be trusted. An import that was interrupted goes on
where it was.`,
		Example: `  pkgtool repo bundle import all.bundle /srv/mirror --root-file root.json
  pkgtool repo bundle import new.bundle /srv/mirror`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.options(app, args[1])
			if err != nil {
				return err
			}
			b, err := bundle.Open(args[0])
			if err != nil {
				return err
			}
			defer b.Close()
			result, err := app.mirrorTo(cmd.Context(), args[1], func(to store.Store) (*mirror.Result, error) {
				return bundle.Import(cmd.Context(), to, b, o)
			})
			if err != nil {
				return err
			}
			return app.printMirrored(args[1], result, o.DryRun)
		},
	}
	flags.trust(cmd)
	flags.part(cmd)
	flags.jobs(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.grace, "grace", "", "keep what is not shown any more for so long: 30d, 36h (default: as before, at first 30d)")
	f.BoolVar(&flags.option.DryRun, "dry-run", false, "say what is missing, and change nothing")
	return cmd
}

func repoBundleHave(app *App) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "have MIRROR", Short: "Write what a mirror has, for the next export", Args: cobra.ExactArgs(1),
		Example: `  pkgtool repo bundle have /srv/mirror -o have`,
		RunE: func(cmd *cobra.Command, args []string) error {
			places, done, err := openSources(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer done()
			have, err := bundle.HaveOf(cmd.Context(), places[0], transport.Limits{})
			if err != nil {
				return err
			}
			data, err := have.Encode()
			if err != nil {
				return err
			}
			if err := durable.WriteFile(out, data, 0o644); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "files": len(have), "bytes": len(data)}, func(w io.Writer) {
				fmt.Fprintf(w, "%s lists %d files\n", out, len(have))
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write it to this file")
	cmd.MarkFlagRequired("output")
	return cmd
}
