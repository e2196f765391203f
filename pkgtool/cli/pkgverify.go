package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

func pkgVerify(app *App) *cobra.Command {
	var keyrings []string
	var content bool
	cmd := &cobra.Command{
		Use: "verify FILE...", Short: "Prove that packages are intact and signed by a trusted key",
		Long: `Reads each package completely, checks every hash, and asks for a signature by a
key of the keyring files, or without --keyring by a key of your own.`,
		Example: "  pkgtool pkg verify --keyring packager.asc *.ashlar",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: completePackages(anyNumber),
		RunE: func(cmd *cobra.Command, args []string) error {
			ring, err := trustedKeys(keyrings)
			if err != nil {
				return err
			}
			results := []map[string]any{}
			var failures []error
			for _, path := range args {
				signers, err := verifyFile(cmd.Context(), path, ring, content)
				if err != nil {
					failures = append(failures, err)
					continue
				}
				results = append(results, map[string]any{"file": path, "signed_by": signers})
			}
			err = app.Print(map[string]any{"schema": 1, "good": results}, func(w io.Writer) {
				for _, r := range results {
					fmt.Fprintf(w, "%s: good", r["file"])
					if signers := r["signed_by"].([]string); len(signers) > 0 {
						fmt.Fprintf(w, ", signed by %s", strings.Join(signers, " "))
					}
					fmt.Fprintln(w)
				}
			})
			return errors.Join(append(failures, err)...)
		},
	}
	cmd.Flags().StringArrayVar(&keyrings, "keyring", nil, "file with trusted public keys (repeatable)")
	cmd.MarkFlagFilename("keyring", "asc", "pgp", "gpg")
	cmd.Flags().BoolVar(&content, "content-only", false, "check the content, and leave the signature aside")
	return cmd
}

func verifyFile(ctx context.Context, path string, ring *signing.Keyring, contentOnly bool) ([]string, error) {
	p, err := pkgfile.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	signers := []string{}
	if !contentOnly {
		if signers, err = p.VerifySignature(ring, signing.Policy{}); err != nil {
			return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Security, "name the packager's public key with --keyring, or sign it: pkgtool pkg sign")
		}
	}
	if err := p.Verify(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return signers, nil
}

// trustedKeys reads keyring files, or takes the public halves of one's own keys.
func trustedKeys(files []string) (*signing.Keyring, error) {
	var keys []*signing.PublicKey
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		ring, err := signing.ReadKeyring(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, ring.Keys()...)
	}
	if len(files) == 0 {
		store, err := openKeys()
		if err != nil {
			return nil, err
		}
		own, err := store.List()
		if err != nil {
			return nil, err
		}
		for _, key := range own {
			keys = append(keys, key.Public())
		}
	}
	return signing.NewKeyring(keys...)
}
