package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/loader"
	"ashlar/pkgtool/query"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"

	"github.com/spf13/cobra"
)

// queryCommands answer questions and change nothing.
func queryCommands(app *App) []*cobra.Command {
	return []*cobra.Command{
		listCommand(app), searchCommand(app), infoCommand(app), filesCommand(app), ownsCommand(app), providesCommand(app),
		whyCommand(app), whyNotCommand(app), dependsCommand(app, false), dependsCommand(app, true),
		verifyCommand(app), auditCommand(app), sbomCommand(app), doctorCommand(app),
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
	if _, err := loader.Attach(sys); err != nil {
		return err
	}
	return do(sys)
}

// offers loads what the last refresh found, without asking anybody. A
// repository that cannot be read is warned of; the others still answer.
func (a *App) offers(ctx context.Context) (*client.Client, error) {
	dirs := client.DirsOf(a.Root)
	configs, err := client.LoadConfigs(dirs.Config)
	if err != nil {
		return nil, err
	}
	c, err := client.Open(configs, dirs, client.Options{AllowStale: true, Warn: func(err error) { a.Say("%s", printable(err.Error())) }})
	if err != nil {
		return nil, err
	}
	if _, err := c.Load(ctx); err != nil {
		a.Say("%s", printable(err.Error()))
	}
	return c, nil
}

func notInstalled(name string) error {
	return fault.Mark(fmt.Errorf("package %s is not installed", name), fault.Failed, "see what is: pkgtool list")
}

// listed is a package in the result of list.
type listed struct {
	system.Record
	Held      string `json:"held,omitempty"`      // the reason of a hold
	Available string `json:"available,omitempty"` // a newer version on offer
}

// listFlags choose among the installed packages; several must all fit.
type listFlags struct{ installed, upgradable, explicit, orphans, held bool }

func listCommand(app *App) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use: "list [NAME...]", Short: "List the installed packages", ValidArgsFunction: app.completeInstalled,
		Long: `List the installed packages, all or those named. The flags choose among them:
--upgradable those of which a repository offers something newer (as of the last
refresh; what upgrade would take may be less), --explicit those that a person
asked for, --orphans those that nothing needs any more, --held those on hold.`,
		Example: `  pkgtool list
  pkgtool list --upgradable
  pkgtool list --orphans
  pkgtool list --json | jq -r '.packages[].name'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				packages, err := app.list(cmd.Context(), sys, args, f)
				if err != nil {
					return err
				}
				return app.Print(map[string]any{"schema": 1, "generation": sys.Generation().Number, "packages": packages}, func(w io.Writer) {
					for _, r := range packages {
						what := printable(r.Summary)
						if f.upgradable {
							what = "-> " + r.Available
						} else if f.held {
							what = printable(r.Held)
						}
						fmt.Fprintf(w, "%-24s %-20s %-7s %s\n", r.Name, r.Version, r.Arch, what)
					}
				})
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.installed, "installed", false, "all that are installed, which is the default")
	flags.BoolVar(&f.upgradable, "upgradable", false, "those of which something newer is on offer")
	flags.BoolVar(&f.explicit, "explicit", false, "those that a person asked for")
	flags.BoolVar(&f.orphans, "orphans", false, "those that nothing needs")
	flags.BoolVar(&f.held, "held", false, "those on hold")
	return cmd
}

func (a *App) list(ctx context.Context, sys *system.System, names []string, f listFlags) ([]listed, error) {
	holds, err := install.ReadHolds(a.Root)
	if err != nil {
		return nil, err
	}
	held := map[string]string{}
	for _, h := range holds {
		held[h.Name] = h.Reason
		if h.Reason == "" {
			held[h.Name] = "held"
		}
	}
	orphans := map[string]bool{}
	if f.orphans {
		g, err := query.Installed(sys.Installed())
		if err != nil {
			return nil, err
		}
		for _, n := range g.Orphans() {
			orphans[n.ID()] = true
		}
	}
	var offers *client.Client
	if f.upgradable {
		if offers, err = a.offers(ctx); err != nil {
			return nil, err
		}
	}
	all := []listed{}
	for _, r := range sys.Installed() {
		p := listed{Record: r, Held: held[r.Name]}
		if offers != nil {
			p.Available = newer(offers, r)
		}
		if len(names) > 0 && !slices.Contains(names, r.Name) || f.upgradable && p.Available == "" || f.explicit && !r.Requested ||
			f.orphans && !orphans[r.Name+" "+r.Version.String()] || f.held && p.Held == "" {
			continue
		}
		all = append(all, p)
	}
	for _, name := range names {
		if sys.Package(name) == nil {
			return nil, notInstalled(name)
		}
	}
	return all, nil
}

// newer is the newest version on offer if it is newer than an installed
// package, else "".
func newer(offers query.Offers, r system.Record) string {
	best, ok := query.Best(offers.ByName(r.Name))
	if !ok {
		return ""
	}
	if v, err := best.EVR(); err == nil && v.Compare(r.Version) > 0 {
		return v.String()
	}
	return ""
}

func searchCommand(app *App) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "search WORD...", Short: "Find packages on offer by words of their names and summaries", Args: cobra.MinimumNArgs(1),
		Long: `Finds packages whose name or summary has all the words, whatever their case.
Names that are a word come first, then names that begin with it, contain it, and
summaries. It looks at what the last refresh found and asks nobody.`,
		Example: `  pkgtool search web server
  pkgtool search --json ssl`,
		RunE: func(cmd *cobra.Command, args []string) error {
			offers, err := app.offers(cmd.Context())
			if err != nil {
				return err
			}
			found := offers.Search(args...)
			more := 0
			if limit > 0 && len(found) > limit {
				found, more = found[:limit], len(found)-limit
			}
			sys, err := system.Open(app.Root)
			if err != nil {
				return err
			}
			defer sys.Close()
			type hit struct {
				client.Entry
				Installed string `json:"installed,omitempty"` // version
			}
			hits := []hit{}
			for _, e := range found {
				h := hit{Entry: e}
				if r := sys.Package(e.Name); r != nil {
					h.Installed = r.Version.String()
				}
				hits = append(hits, h)
			}
			err = app.Print(map[string]any{"schema": 1, "packages": hits, "more": more}, func(w io.Writer) {
				for _, h := range hits {
					mark := " "
					if h.Installed != "" {
						mark = "*"
					}
					fmt.Fprintf(w, "%s %-26s %-18s %s\n", mark, h.Name, versionText(h.Entry), printable(h.Summary))
				}
			})
			if more > 0 {
				app.Say("%d more; see them with --limit 0", more)
			}
			if err == nil && len(hits) == 0 {
				err = fault.Mark(fmt.Errorf("nothing on offer has the words %s", strings.Join(args, ", ")), fault.Failed, "other words, or: pkgtool refresh")
			}
			return err
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "show at most this many; 0 shows all")
	return cmd
}

func versionText(e client.Entry) string {
	v, err := e.EVR()
	if err != nil {
		return e.Version
	}
	return v.String()
}

func providesCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "provides NAME|CAPABILITY", Short: "Tell which packages, installed or on offer, provide a name or capability", Args: cobra.ExactArgs(1),
		Long: `Tells which packages answer to a name or capability, with a condition on the
version if one is given. Commands, libraries and modules are capabilities:
"soname(libz.so.1)", "pkgconfig(zlib)". For a file of an installed package see owns.`,
		Example: `  pkgtool provides 'soname(libz.so.1)'
  pkgtool provides 'kernel >=6'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := version.ParseDependency(args[0])
			if err != nil {
				return fault.Mark(err, fault.Usage, "")
			}
			offers, err := app.offers(cmd.Context())
			if err != nil {
				return err
			}
			return app.withSystem(func(sys *system.System) error {
				providers, err := query.Providers(d, sys.Installed(), offers)
				if err != nil {
					return err
				}
				if len(providers) == 0 {
					return fault.Errorf(fault.Failed, "nothing installed or on offer provides %s", printable(args[0]))
				}
				return app.Print(map[string]any{"schema": 1, "providers": providers}, func(w io.Writer) {
					for _, p := range providers {
						where := "in " + p.Repo
						if p.Installed {
							where = "installed"
						}
						fmt.Fprintf(w, "%-24s %-20s %-14s %s\n", p.Name, p.Version, where, printable(strings.Join(p.As, ", ")))
					}
				})
			})
		},
	}
}
