package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"ashlar/pkgtool/build/attest"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

func pkgProvenance(app *App) *cobra.Command {
	var keyrings []string
	cmd := &cobra.Command{
		Use: "provenance DOCUMENT [PACKAGE...]", Short: "Check who built packages, from what, and that these are the packages",
		Long: `Reads a provenance document, as pkgtool build --attest writes it (an in-toto
statement in a DSSE envelope): checks that a trusted key signed it, that it speaks of
each named package file, and prints what the build was made from. A package that
was signed again counts as the same.

Trusted are the keys of the keyring files, or without --keyring your own keys.`,
		Example: `  pkgtool pkg provenance attest/zlib-1.2.13-1.intoto.jsonl zlib-1.2.13-1.x86_64.ashlar --keyring packager.asc
  pkgtool pkg provenance attest/zlib-1.2.13-1.intoto.jsonl --json | jq '.statement.predicate.buildDefinition.resolvedDependencies'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ring, err := trustedKeys(keyrings)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			s, signers, err := attest.Verify(cmd.Context(), data, ring, signing.Policy{})
			if err != nil {
				return fault.Mark(fmt.Errorf("%s: %w", args[0], err), fault.Security, "name the packager's public key with --keyring")
			}
			for _, path := range args[1:] {
				if err := speaksOf(s, path); err != nil {
					return err
				}
			}
			return app.Print(map[string]any{"schema": 1, "document": args[0], "signed_by": signers, "packages": args[1:], "statement": s}, func(w io.Writer) {
				printProvenance(w, s, signers, args[1:])
			})
		},
	}
	cmd.Flags().StringArrayVar(&keyrings, "keyring", nil, "file with trusted public keys (repeatable)")
	cmd.MarkFlagFilename("keyring", "asc", "pgp", "gpg")
	return cmd
}

// speaksOf finds a package among the subjects of a statement.
func speaksOf(s *attest.Statement, path string) error {
	sum, err := fileSHA256(path)
	if err != nil {
		return err
	}
	p, err := pkgfile.OpenFile(path)
	if err != nil {
		return err
	}
	defer p.Close()
	if !slices.ContainsFunc(s.Subject, func(d attest.Descriptor) bool {
		return d.Digest["sha256"] == sum || d.Annotations["manifest"] == p.ManifestSHA256()
	}) {
		return fault.Errorf(fault.Security, "%s: the document does not speak of this file; it is about %s", path, subjects(s))
	}
	return nil
}

func subjects(s *attest.Statement) string {
	var names []string
	for _, d := range s.Subject {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
}

func printProvenance(w io.Writer, s *attest.Statement, signers, packages []string) {
	fmt.Fprintf(w, "recipe %s, signed by %s\n", printable(s.Recipe()), strings.Join(signers, " "))
	for _, name := range packages {
		fmt.Fprintf(w, "  it is about %s\n", name)
	}
	counts := map[string]int{}
	var order []string
	for _, d := range s.Predicate.BuildDefinition.ResolvedDependencies {
		kind, _ := d.Annotations["kind"].(string)
		if counts[kind] == 0 {
			order = append(order, kind)
		}
		counts[kind]++
		if kind == "source" {
			for _, algorithm := range []string{"sha256", "gitCommit", "dirHash"} {
				if digest := d.Digest[algorithm]; digest != "" {
					fmt.Fprintf(w, "  source %s%s %s:%s\n", printable(d.Name), printable(d.URI), algorithm, printable(digest))
					break
				}
			}
		}
	}
	var texts []string
	for _, kind := range order {
		texts = append(texts, fmt.Sprintf("%d × %s", counts[kind], printable(kind)))
	}
	fmt.Fprintf(w, "  made from %s\n", strings.Join(texts, ", "))
}
