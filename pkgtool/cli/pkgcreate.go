package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

func pkgCreate(app *App) *cobra.Command {
	var description, output, fingerprint, compression string
	var unsigned bool
	var level int
	cmd := &cobra.Command{
		Use: "create FOLDER", Short: "Make a package of a folder's files and a short description", Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		Long: `For files of your own that need no build; software comes from recipes. Everything
belongs to root, with mode 0755 for folders and executable files, else 0644,
whatever the folder's files have; "files:" in the description changes that.`,
		Example: `  cat > motd.yaml <<END
  schema: 1
  name: example-motd
  version: 1.0.0
  summary: Our message of the day
  files:
    - {path: etc/motd, config: true}
  END
  mkdir -p tree/etc && echo Welcome > tree/etc/motd
  pkgtool pkg create tree --description motd.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := pkgfile.ReadDescription(description)
			if err != nil {
				return err
			}
			m, err := d.Manifest()
			if err != nil {
				return fmt.Errorf("%s: %w", description, err)
			}
			inputs, err := pkgfile.Scan(args[0], d.Files)
			if err != nil {
				return err
			}
			opts := pkgfile.Options{Level: level, Compression: compression}
			if !unsigned {
				key, err := app.signingKey(fingerprint)
				if err != nil {
					return err
				}
				opts.Signers = []*signing.PrivateKey{key}
			}
			if output == "" {
				output = m.FileName()
			} else if info, err := os.Stat(output); err == nil && info.IsDir() {
				output = filepath.Join(output, m.FileName())
			}
			err = durable.Write(output, 0o644, func(w io.Writer) error {
				_, err := pkgfile.Write(cmd.Context(), w, m, inputs, opts)
				return err
			})
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "file": output}, func(w io.Writer) { fmt.Fprintln(w, output) })
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&description, "description", "d", "", "YAML file that describes the package")
	flags.StringVarP(&output, "output", "o", "", "file or folder to write (default NAME-VERSION-RELEASE.ARCH.ashlar here)")
	flags.StringVar(&fingerprint, "key", "", "key to sign with (default: the default key)")
	flags.BoolVar(&unsigned, "unsigned", false, "do not sign")
	flags.IntVar(&level, "level", 0, fmt.Sprintf("zstd level, 1 to 22; there are four steps: 1, 3, 6 and 10 (default %d)", pkgfile.DefaultLevel))
	flags.StringVar(&compression, "compress", pkgfile.Zstd, "zstd, or xz: smaller, far slower, for hosts whose tar knows no zstd")
	cmd.RegisterFlagCompletionFunc("compress", cobra.FixedCompletions(pkgfile.Compressions(), cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagRequired("description")
	cmd.MarkFlagFilename("description", "yaml", "yml")
	cmd.RegisterFlagCompletionFunc("key", completeKeys)
	cmd.MarkFlagsMutuallyExclusive("key", "unsigned")
	return cmd
}
