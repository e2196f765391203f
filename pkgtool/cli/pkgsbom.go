package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/sbom"

	"github.com/spf13/cobra"
)

func pkgSBOM(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "sbom FILE", Short: "Write a bill of materials of a package file (SPDX 2.3, JSON)", Args: cobra.ExactArgs(1), ValidArgsFunction: completePackages(1),
		Long: `Writes an SPDX 2.3 document in JSON of one package file: name, version, licence,
every file with its sums, and the sources it was built from. All content is read and
checked. The same file always gives the same document. pkgtool build --attest
writes one for each package it makes; pkgtool sbom describes an installed system.`,
		Example: "  pkgtool pkg sbom zlib-1.2.13-1.x86_64.ashlar > zlib.spdx.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			sum, err := fileSHA256(args[0])
			if err != nil {
				return err
			}
			p, err := pkgfile.OpenFile(args[0])
			if err != nil {
				return err
			}
			defer p.Close()
			return sbom.Write(cmd.Context(), app.Out, p, sum)
		},
	}
}

func fileSHA256(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
