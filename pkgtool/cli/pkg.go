package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

// pkgCommands look at, make and sign single package files.
func pkgCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "pkg",
		Short: "Look at, make and sign package files",
		Long: `A package file is a tar.zst that tar --zstd lists and extracts; what makes it a
package is the signed manifest in front (docs/formats/package.md).`,
	}
	cmd.AddCommand(pkgInspect(app), pkgList(app), pkgVerify(app), pkgExtract(app), pkgCreate(app), pkgSign(app))
	return []*cobra.Command{cmd}
}

// printable makes text from outside safe for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func pkgInspect(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE", Short: "Show what a package says about itself; nothing is verified but its form", Args: cobra.ExactArgs(1),
		Example: "  pkgtool pkg inspect --json hello-1.0.0-1.noarch.ashlar | jq .manifest.requires",
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := pkgfile.OpenFile(args[0])
			if err != nil {
				return err
			}
			defer p.Close()
			m := p.Manifest()
			signed := slices.Sorted(maps.Keys(p.Signatures()))
			result := map[string]any{"schema": 1, "size": p.Size(), "meta_size": p.MetaSize(),
				"manifest_sha256": p.ManifestSHA256(), "signed_by": signed, "manifest": m}
			return app.Print(result, func(w io.Writer) {
				evr, err := m.EVR()
				if err != nil {
					return
				}
				line := func(name, value string) {
					if value != "" {
						fmt.Fprintf(w, "%-12s %s\n", name, printable(value))
					}
				}
				line("name", m.Name)
				line("version", evr.String())
				line("upstream", m.Upstream)
				line("arch", m.Arch)
				line("summary", m.Summary)
				line("license", m.License)
				line("homepage", m.Homepage)
				line("recipe", m.Recipe)
				line("origin", m.Provenance.Origin)
				for _, list := range []struct {
					name  string
					texts []string
				}{{"requires", m.Requires}, {"provides", m.Provides}, {"conflicts", m.Conflicts}, {"replaces", m.Replaces}, {"recommends", m.Recommends}} {
					line(list.name, strings.Join(list.texts, ", "))
				}
				line("files", fmt.Sprintf("%d, %d bytes installed", len(m.Files), m.InstalledSize))
				line("package", fmt.Sprintf("%d bytes in %d frames, %d of them meta", p.Size(), len(m.Frames)+1, p.MetaSize()))
				line("manifest", "sha256:"+p.ManifestSHA256())
				line("signed by", strings.Join(signed, " "))
				if m.Description != "" {
					fmt.Fprintln(w)
					for text := range strings.SplitSeq(strings.TrimSuffix(m.Description, "\n"), "\n") {
						fmt.Fprintln(w, "  "+printable(text))
					}
				}
			})
		},
	}
}

func pkgList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list FILE", Short: "List a package's files", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := pkgfile.OpenFile(args[0])
			if err != nil {
				return err
			}
			defer p.Close()
			m := p.Manifest()
			return app.Print(map[string]any{"schema": 1, "files": append([]pkgfile.File{}, m.Files...)}, func(w io.Writer) {
				for i := range m.Files {
					fmt.Fprintln(w, listLine(m, &m.Files[i]))
				}
			})
		},
	}
}

// listLine is a file as `ls -l` shows it.
func listLine(m *pkgfile.Manifest, f *pkgfile.File) string {
	attr, arrow := f, ""
	switch f.Type {
	case pkgfile.TypeHardlink:
		attr, arrow = m.File(f.Target), " link to "+f.Target
	case pkgfile.TypeSymlink:
		arrow = " -> " + f.Target
	}
	mode := []byte("-rwxrwxrwx")
	for i := range 9 {
		if attr.Mode>>(8-i)&1 == 0 {
			mode[i+1] = '-'
		}
	}
	for _, special := range []struct {
		bit      uint32
		position int
		letter   byte
	}{{0o4000, 3, 's'}, {0o2000, 6, 's'}, {0o1000, 9, 't'}} {
		if attr.Mode&special.bit != 0 {
			if mode[special.position] == '-' {
				special.letter -= 'a' - 'A'
			}
			mode[special.position] = special.letter
		}
	}
	switch f.Type {
	case pkgfile.TypeDir:
		mode[0] = 'd'
	case pkgfile.TypeSymlink:
		mode[0] = 'l'
	}
	return printable(fmt.Sprintf("%s %-8s %-8s %10d %s%s", mode, attr.Owner, attr.Group, f.Size, f.Path, arrow))
}

func pkgVerify(app *App) *cobra.Command {
	var keyrings []string
	var content bool
	cmd := &cobra.Command{
		Use: "verify FILE...", Short: "Prove that packages are intact and signed by a trusted key",
		Long: `Reads each package completely, checks every hash, and asks for a signature by a
key of the keyring files, or without --keyring by a key of your own.`,
		Example: "  pkgtool pkg verify --keyring packager.asc *.ashlar",
		Args:    cobra.MinimumNArgs(1),
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

func pkgExtract(app *App) *cobra.Command {
	var into string
	cmd := &cobra.Command{
		Use: "extract FILE", Short: "Unpack a package into a new folder, for a look at it", Args: cobra.ExactArgs(1),
		Long: `Verifies the content, not the signature. The files become yours, without setuid
bits, and the folder appears only if everything in it is good.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := pkgfile.OpenFile(args[0])
			if err != nil {
				return err
			}
			defer p.Close()
			if into == "" {
				m := p.Manifest()
				into = fmt.Sprintf("%s-%s-%d", m.Name, m.Version, m.Release)
			}
			if err := p.Extract(cmd.Context(), into); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "folder": into, "files": len(p.Manifest().Files)}, func(w io.Writer) {
				fmt.Fprintln(w, into)
			})
		},
	}
	cmd.Flags().StringVarP(&into, "into", "C", "", "folder to make (default NAME-VERSION-RELEASE here)")
	return cmd
}

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

func pkgCreate(app *App) *cobra.Command {
	var description, output, fingerprint string
	var unsigned bool
	var level int
	cmd := &cobra.Command{
		Use: "create FOLDER", Short: "Make a package of a folder's files and a short description", Args: cobra.ExactArgs(1),
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
			opts := pkgfile.Options{Level: level}
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
	flags.IntVar(&level, "level", 0, fmt.Sprintf("zstd level (default %d)", pkgfile.DefaultLevel))
	cmd.MarkFlagRequired("description")
	cmd.MarkFlagsMutuallyExclusive("key", "unsigned")
	return cmd
}

func pkgSign(app *App) *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{
		Use: "sign FILE...", Short: "Add a signature to packages, in place; the data stays byte for byte the same", Args: cobra.MinimumNArgs(1),
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
