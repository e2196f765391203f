package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

// signingKey is the key named, else the default, which is made on first use.
func (a *App) signingKey(fingerprint string) (*signing.PrivateKey, error) {
	store, err := openKeys()
	if err != nil {
		return nil, err
	}
	if fingerprint != "" {
		return store.Get(fingerprint)
	}
	key, made, err := store.EnsureDefault()
	if made {
		a.Say("made a development key %s in %s, since there was none", key.Fingerprint(), store.Dir())
	}
	return key, err
}

func pkgSign(app *App) *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{
		Use: "sign FILE...", Short: "Add a signature to packages, in place; the data stays byte for byte the same", Args: cobra.MinimumNArgs(1), ValidArgsFunction: completePackages(anyNumber),
		Example: "  pkgtool pkg sign --key 0123456789ABCDEF0123456789ABCDEF01234567 *.ashlar",
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := app.signingKey(fingerprint)
			if err != nil {
				return err
			}
			for _, path := range args {
				if err := signFile(path, key); err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
			}
			return app.Print(map[string]any{"schema": 1, "signed": args, "key": key.Fingerprint()}, func(w io.Writer) {
				for _, path := range args {
					fmt.Fprintf(w, "%s: signed by %s\n", path, key.Fingerprint())
				}
			})
		},
	}
	cmd.Flags().StringVar(&fingerprint, "key", "", "key to sign with (default: the default key)")
	cmd.RegisterFlagCompletionFunc("key", completeKeys)
	return cmd
}

func signFile(path string, key *signing.PrivateKey) error {
	p, err := pkgfile.OpenFile(path)
	if err != nil {
		return err
	}
	defer p.Close()
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return durable.Write(path, mode, func(w io.Writer) error { return pkgfile.Resign(w, p, key) })
}
