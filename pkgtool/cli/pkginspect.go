package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"

	"github.com/spf13/cobra"
)

func pkgInspect(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE", Short: "Show what a package says about itself; nothing is verified but its form", Args: cobra.ExactArgs(1), ValidArgsFunction: completePackages(1),
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
				"compression": p.Compression(), "manifest_sha256": p.ManifestSHA256(), "signed_by": signed, "manifest": m}
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
				line("vendor", m.Vendor)
				line("recipe", m.Recipe)
				line("origin", m.Provenance.Origin)
				for _, list := range []struct {
					name  string
					texts []string
				}{{"requires", m.Requires}, {"provides", m.Provides}, {"conflicts", m.Conflicts}, {"replaces", m.Replaces}, {"recommends", m.Recommends}, {"supplements", m.Supplements}} {
					line(list.name, strings.Join(list.texts, ", "))
				}
				if m.InstallOnly {
					line("install only", "stays beside other versions")
				}
				for _, t := range m.Triggers {
					line("trigger", fmt.Sprintf("%s runs %s on %s", t.Name, strings.Join(t.Run, " "), strings.Join(t.Watch, " ")))
				}
				line("files", fmt.Sprintf("%d, %d bytes installed", len(m.Files), m.InstalledSize))
				line("package", fmt.Sprintf("%d bytes in %d %s frames, %d of them meta", p.Size(), len(m.Frames)+1, p.Compression(), p.MetaSize()))
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
		Use: "list FILE", Short: "List a package's files", Args: cobra.ExactArgs(1), ValidArgsFunction: completePackages(1),
		Example: "  pkgtool pkg list hello-1.0.0-1.noarch.ashlar",
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
