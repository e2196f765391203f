package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

// maxPatch is the length in bytes up to which a text file is compared by lines.
const maxPatch = 1 << 20

func pkgDiff(app *App) *cobra.Command {
	var patch, exitCode, breaks bool
	cmd := &cobra.Command{
		Use: "diff OLD NEW", Short: "Compare two packages: fields, dependencies, files, sizes, content and libraries", Args: cobra.ExactArgs(2),
		ValidArgsFunction: completePackages(2),
		Long: `Compares what the manifests say; files by their hashes, and shared libraries that
differ also by what is linked with them can see: soname, libraries they need,
and exported symbols that came, went or became something else. With --patch also
the lines of changed text files of at most 1 MiB. The content of libraries and
patched files is verified; nothing else is, and no signature.

The exit code is 0 whether they differ or not; with --exit-code it is 1 where
they differ, with --breaks where programs linked with libraries of OLD may not
work with those of NEW. Types of arguments are not compared; abidiff reads those
from debugging symbols.`,
		Example: `  pkgtool pkg diff --patch hello-1.0.0-1.noarch.ashlar hello-1.0.0-2.noarch.ashlar
  pkgtool pkg diff --exit-code --quiet first.ashlar second.ashlar && echo reproducible
  pkgtool pkg diff --breaks zlib-1.2.13-1.x86_64.ashlar zlib-1.3.0-1.x86_64.ashlar
  pkgtool --json pkg diff old.ashlar new.ashlar | jq -r '.files[] | select(.to == null) | .path'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := pkgfile.OpenFile(args[0])
			if err != nil {
				return err
			}
			defer old.Close()
			new, err := pkgfile.OpenFile(args[1])
			if err != nil {
				return err
			}
			defer new.Close()
			result := packageDiff{Schema: 1, From: describePackage(args[0], old), To: describePackage(args[1], new),
				Same: old.ManifestSHA256() == new.ManifestSHA256(), Difference: pkgfile.Compare(old.Manifest(), new.Manifest())}
			if result.Libraries, err = compareLibraries(cmd.Context(), old, new, result.Files); err != nil {
				return err
			}
			if patch {
				if result.Patches, err = patches(cmd.Context(), old, new, result.Files); err != nil {
					return err
				}
			}
			if !app.Quiet || app.JSON {
				if err := app.Print(result, result.print); err != nil {
					return err
				}
			}
			if exitCode && !result.Same {
				return fault.Errorf(fault.Failed, "%s and %s differ", args[0], args[1])
			}
			for _, l := range result.Libraries {
				if breaks && l.Breaks {
					return fault.Errorf(fault.Failed, "programs linked with %s of %s may not work with %s", l.Library, args[0], args[1])
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&patch, "patch", "p", false, "show the changed lines of text files")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 where the packages differ; with --quiet print nothing")
	cmd.Flags().BoolVar(&breaks, "breaks", false, "exit with 1 where programs linked with libraries of OLD may not work with NEW")
	return cmd
}

// packageDiff is the result of `pkg diff`, schema 1.
type packageDiff struct {
	Schema int             `json:"schema"`
	Same   bool            `json:"same"` // equal manifests, so equal content
	From   comparedPackage `json:"from"`
	To     comparedPackage `json:"to"`
	*pkgfile.Difference
	Libraries []libraryChange `json:"libraries"`         // shared libraries that users see a difference of
	Patches   []filePatch     `json:"patches,omitempty"` // with --patch
}

type comparedPackage struct {
	File           string `json:"file"`
	Name           string `json:"name"`
	Version        string `json:"version"`
	ManifestSHA256 string `json:"manifest_sha256"`
	Size           int64  `json:"size"`           // bytes of the package file
	InstalledSize  int64  `json:"installed_size"` // bytes of its files
	Files          int    `json:"files"`
}

// filePatch is a unified diff of one file.
type filePatch struct {
	Path  string `json:"path"`
	Patch string `json:"patch"`
}

func describePackage(file string, p *pkgfile.Package) comparedPackage {
	m := p.Manifest()
	c := comparedPackage{File: file, Name: m.Name, Version: m.Version, ManifestSHA256: p.ManifestSHA256(),
		Size: p.Size(), InstalledSize: m.InstalledSize, Files: len(m.Files)}
	if evr, err := m.EVR(); err == nil {
		c.Version = evr.String()
	}
	return c
}

func (d packageDiff) print(w io.Writer) {
	for _, side := range []struct {
		mark string
		p    comparedPackage
	}{{"---", d.From}, {"+++", d.To}} {
		fmt.Fprintf(w, "%s %s  %s %s, %d bytes, %d files of %d bytes\n", side.mark, printable(side.p.File),
			side.p.Name, side.p.Version, side.p.Size, side.p.Files, side.p.InstalledSize)
	}
	for _, f := range d.Fields {
		fmt.Fprintf(w, "%s: %s -> %s\n", f.Field, shown(f.From), shown(f.To))
	}
	for _, l := range d.Lists {
		fmt.Fprintf(w, "%s:\n", l.Field)
		for _, text := range l.Removed {
			fmt.Fprintln(w, "  - "+printable(text))
		}
		for _, text := range l.Added {
			fmt.Fprintln(w, "  + "+printable(text))
		}
	}
	d.printFiles(w)
	d.printLibraries(w)
	for _, p := range d.Patches {
		for line := range strings.SplitSeq(strings.TrimSuffix(p.Patch, "\n"), "\n") {
			fmt.Fprintln(w, printable(strings.ReplaceAll(line, "\t", "        ")))
		}
	}
}

func (d packageDiff) printFiles(w io.Writer) {
	if len(d.Files) == 0 {
		return
	}
	fmt.Fprintln(w, "files:")
	var added, removed, changed int
	for _, c := range d.Files {
		switch {
		case c.From == nil:
			added++
			fmt.Fprintf(w, "  + %s (%s)\n", printable(c.Path), fileSize(c.To))
		case c.To == nil:
			removed++
			fmt.Fprintf(w, "  - %s (%s)\n", printable(c.Path), fileSize(c.From))
		default:
			changed++
			fmt.Fprintf(w, "  ~ %s (%s)\n", printable(c.Path), printable(fileChanges(c)))
		}
	}
	fmt.Fprintf(w, "%d added, %d removed, %d changed, %d the same\n", added, removed, changed, d.From.Files-removed-changed)
}

// shown is a field's value, shortened to fit a line.
func shown(value string) string {
	if value == "" {
		return "nothing"
	}
	if len(value) > 80 {
		cut := 77
		for !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "..."
	}
	return printable(value)
}

func fileSize(f *pkgfile.File) string {
	if f.Type != pkgfile.TypeFile {
		return f.Type
	}
	return fmt.Sprintf("%d bytes", f.Size)
}

// fileChanges says what differs, with the values where they are short.
func fileChanges(c pkgfile.FileChange) string {
	texts := make([]string, len(c.Differs))
	for i, what := range c.Differs {
		switch what {
		case "type":
			texts[i] = fmt.Sprintf("%s -> %s", c.From.Type, c.To.Type)
		case "content":
			texts[i] = what
			if c.From.Type == pkgfile.TypeFile && c.To.Type == pkgfile.TypeFile {
				texts[i] = fmt.Sprintf("content, %d -> %d bytes", c.From.Size, c.To.Size)
			}
		case "target":
			texts[i] = fmt.Sprintf("target %s -> %s", shown(c.From.Target), shown(c.To.Target))
		case "mode":
			texts[i] = fmt.Sprintf("mode %04o -> %04o", c.From.Mode, c.To.Mode)
		case "owner":
			texts[i] = fmt.Sprintf("owner %s -> %s", c.From.Owner, c.To.Owner)
		case "group":
			texts[i] = fmt.Sprintf("group %s -> %s", c.From.Group, c.To.Group)
		default:
			texts[i] = what
		}
	}
	return strings.Join(texts, "; ")
}

// patches makes unified diffs of the files that are text on both sides, or on
// the only side that has them.
func patches(ctx context.Context, old, new *pkgfile.Package, changes []pkgfile.FileChange) ([]filePatch, error) {
	list := []filePatch{}
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before, text, err := textOf(old, c.From)
		if err != nil || !text {
			if err != nil {
				return nil, err
			}
			continue
		}
		after, text, err := textOf(new, c.To)
		if err != nil {
			return nil, err
		}
		if !text || bytes.Equal(before, after) {
			continue
		}
		list = append(list, filePatch{c.Path, string(diff.Diff("a/"+c.Path, before, "b/"+c.Path, after))})
	}
	return list, nil
}

// textOf returns the content of a file that is short enough and text; no file
// is empty text.
func textOf(p *pkgfile.Package, f *pkgfile.File) (content []byte, text bool, err error) {
	if f == nil {
		return nil, true, nil
	}
	if f.Type != pkgfile.TypeFile || f.Size > maxPatch {
		return nil, false, nil
	}
	r, err := p.OpenFrameFile(f)
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	content, err = io.ReadAll(r)
	return content, err == nil && utf8.Valid(content) && !bytes.ContainsRune(content, 0), err
}
