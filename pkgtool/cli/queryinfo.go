package cli

import (
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/query"
	"ashlar/pkgtool/system"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/spf13/cobra"
)

func infoCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "info NAME", Short: "Show a package, installed or on offer", Args: cobra.ExactArgs(1), ValidArgsFunction: app.completeAvailable,
		Example: `  pkgtool info nginx
  pkgtool info --json nginx | jq '.offered[].version'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error { return app.info(cmd.Context(), sys, args[0]) })
		},
	}
}

func (a *App) info(ctx context.Context, sys *system.System, name string) error {
	offers, err := a.offers(ctx)
	if err != nil {
		return err
	}
	installed := sys.Builds(name)
	offered := []map[string]any{}
	var lines []string
	for _, e := range offers.ByName(name) {
		v, err := e.EVR()
		if err != nil {
			continue
		}
		offered = append(offered, map[string]any{"version": v, "repo": e.Repo, "size": e.Size, "installed_size": e.InstalledSize,
			"summary": e.Summary, "upstream": e.Upstream, "vendor": e.Vendor, "requires": e.Requires, "provides": e.Provides})
		lines = append(lines, fmt.Sprintf("%-12s %s in %s, to download %s", "on offer", v, e.Repo, mebibytes(e.Size)))
	}
	if len(installed) == 0 && len(offered) == 0 {
		return fault.Mark(fmt.Errorf("no package is called %s", printable(name)), fault.Failed, "look for it: pkgtool search "+printable(name))
	}
	var newest *system.Record
	if len(installed) > 0 {
		newest = &installed[len(installed)-1]
	}
	return a.Print(map[string]any{"schema": 1, "installed": newest, "builds": len(installed), "offered": offered}, func(w io.Writer) {
		for i := range installed {
			showRecord(w, &installed[i])
		}
		if newest == nil {
			if e, ok := query.Best(offers.ByName(name)); ok {
				fmt.Fprintf(w, "%-12s %s\n%-12s %s\n", "name", name, "summary", printable(e.Summary))
			}
		}
		for _, line := range lines {
			fmt.Fprintln(w, line)
		}
	})
}

func showRecord(w io.Writer, r *system.Record) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", name, printable(value))
		}
	}
	line("name", r.Name)
	line("installed", r.Version.String())
	line("upstream", r.Upstream)
	line("arch", r.Arch)
	line("summary", r.Summary)
	line("from", r.Repo)
	line("on disk", mebibytes(r.InstalledSize))
	line("requires", strings.Join(r.Requires, ", "))
	line("provides", strings.Join(r.Provides, ", "))
	line("conflicts", strings.Join(r.Conflicts, ", "))
	line("replaces", strings.Join(r.Replaces, ", "))
	line("recommends", strings.Join(r.Recommends, ", "))
	if r.Requested {
		line("requested", "yes")
	}
}

func filesCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "files NAME", Short: "List the files of an installed package", Args: cobra.ExactArgs(1), ValidArgsFunction: app.completeInstalled,
		Example: `  pkgtool files openssh
  pkgtool files --json openssh | jq -r '.files[] | select(.config) | .path'`,
		RunE: func(_ *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				r := sys.Package(args[0])
				if r == nil {
					return notInstalled(args[0])
				}
				m, err := sys.Manifest(*r)
				if err != nil {
					return err
				}
				return app.Print(map[string]any{"schema": 1, "files": m.Files}, func(w io.Writer) {
					for i := range m.Files {
						fmt.Fprintln(w, "/"+printable(m.Files[i].Path))
					}
				})
			})
		},
	}
}

func ownsCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "owns PATH", Short: "Tell which package a file belongs to", Args: cobra.ExactArgs(1),
		Example: "  pkgtool owns /bin/sh\n  pkgtool owns --json \"$(command -v ssh)\"",
		RunE: func(_ *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				inside, err := insideRoot(app.Root, args[0])
				if err != nil {
					return err
				}
				owners, err := sys.Owners(inside)
				if err != nil {
					return err
				}
				if len(owners) == 0 {
					return fmt.Errorf("no package owns /%s", inside)
				}
				return app.Print(map[string]any{"schema": 1, "path": "/" + inside, "packages": owners}, func(w io.Writer) {
					fmt.Fprintln(w, strings.Join(owners, "\n"))
				})
			})
		},
	}
}

// insideRoot returns the path of a file relative to the root, with the links on
// the way to it resolved as they are below the root: /bin/ls is usr/bin/ls.
func insideRoot(root, name string) (string, error) {
	clean := path.Clean("/" + name)
	folder, err := securejoin.SecureJoin(root, path.Dir(clean))
	if err != nil {
		return "", err
	}
	absolute, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return "", err
	}
	return filepath.Rel(absolute, filepath.Join(folder, path.Base(clean)))
}
