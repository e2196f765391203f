package cli

import (
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/spf13/cobra"
)

// installedCommands tell what is installed.
func installedCommands(app *App) []*cobra.Command {
	return []*cobra.Command{
		listCommand(app), infoCommand(app), filesCommand(app), ownsCommand(app), verifyCommand(app), historyCommand(app),
	}
}

// withSystem opens the system for a command that only looks.
func (a *App) withSystem(do func(*system.System) error) error {
	sys, err := system.Open(a.Root)
	if err != nil {
		return err
	}
	defer sys.Close()
	if text := sys.Recovered(); text != "" {
		a.Say("%s", text)
	}
	return do(sys)
}

func notInstalled(name string) error {
	return fault.Mark(fmt.Errorf("package %s is not installed", name), fault.Failed, "see what is: pkgtool list")
}

func listCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the installed packages", Args: cobra.NoArgs, Example: "  pkgtool list --json | jq -r '.packages[].name'",
		RunE: func(*cobra.Command, []string) error {
			return app.withSystem(func(sys *system.System) error {
				packages := sys.Installed()
				if packages == nil {
					packages = []system.Record{}
				}
				return app.Print(map[string]any{"schema": 1, "generation": sys.Generation().Number, "packages": packages}, func(w io.Writer) {
					for _, r := range packages {
						fmt.Fprintf(w, "%-24s %-20s %-7s %s\n", r.Name, r.Version, r.Arch, printable(r.Summary))
					}
				})
			})
		},
	}
}

func infoCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "info NAME", Short: "Show a package, installed or on offer", Args: cobra.ExactArgs(1), ValidArgsFunction: app.completeAvailable,
		RunE: func(cmd *cobra.Command, args []string) error {
			session, err := install.Open(install.Options{Root: app.Root})
			if err != nil {
				return err
			}
			defer session.Close()
			installed := session.System().Package(args[0])
			// What is installed can be told without any repository.
			entries, loadErr := session.Available(cmd.Context())
			offered := []map[string]any{}
			var lines []string
			for _, e := range entries {
				if v, err := e.EVR(); err == nil && e.Name == args[0] {
					offered = append(offered, map[string]any{"version": v, "repo": e.Repo, "size": e.Size, "summary": e.Summary, "requires": e.Requires})
					lines = append(lines, fmt.Sprintf("%-12s %s in %s, to download %s", "on offer", v, e.Repo, mebibytes(e.Size)))
				}
			}
			if installed == nil && len(offered) == 0 {
				if loadErr != nil {
					return loadErr
				}
				return fault.Mark(fmt.Errorf("no package is called %s", args[0]), fault.Failed, "")
			}
			return app.Print(map[string]any{"schema": 1, "installed": installed, "offered": offered}, func(w io.Writer) {
				if installed != nil {
					showRecord(w, installed)
				}
				for _, line := range lines {
					fmt.Fprintln(w, line)
				}
			})
		},
	}
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
		Example: "  pkgtool owns /bin/sh",
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

func verifyCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "verify [NAME...]", Short: "Compare installed files with what was installed, hash by hash", ValidArgsFunction: app.completeInstalled,
		Long: `Compare installed files with what was installed: types, contents, modes, and as root
owners. Edited configuration files are listed but are no fault. The exit code is 1
if something else differs.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				problems, err := sys.Verify(cmd.Context(), system.VerifyOptions{Names: args})
				if err != nil {
					return err
				}
				if problems == nil {
					problems = []system.Problem{}
				}
				faults := 0
				for _, p := range problems {
					if !p.Config {
						faults++
					}
				}
				err = app.Print(map[string]any{"schema": 1, "problems": problems}, func(w io.Writer) {
					for _, p := range problems {
						kind := ""
						if p.Config {
							kind = " (configuration)"
						}
						fmt.Fprintf(w, "%s: /%s: %s%s\n", p.Package, printable(p.Path), printable(p.What), kind)
					}
				})
				if err == nil && faults > 0 {
					err = fmt.Errorf("%d files differ from what was installed", faults)
				}
				return err
			})
		},
	}
}

func historyCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "List the generations of the system", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return app.withSystem(func(sys *system.System) error {
				history, err := sys.History()
				if err != nil {
					return err
				}
				type generation struct {
					Number   int       `json:"number"`
					Time     time.Time `json:"time"`
					Reason   string    `json:"reason"`
					Command  []string  `json:"command,omitempty"`
					Packages int       `json:"packages"`
				}
				generations := []generation{}
				for _, g := range history {
					generations = append(generations, generation{g.Number, g.Time, g.Reason, g.Command, len(g.Packages)})
				}
				return app.Print(map[string]any{"schema": 1, "current": sys.Generation().Number, "generations": generations}, func(w io.Writer) {
					for _, g := range generations {
						fmt.Fprintf(w, "%4d  %s  %4d packages  %s\n", g.Number, g.Time.Format(time.RFC3339), g.Packages, printable(g.Reason))
					}
				})
			})
		},
	}
}
