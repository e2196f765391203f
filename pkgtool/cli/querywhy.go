package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/query"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/system"

	"github.com/spf13/cobra"
)

func whyCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "why NAME", Short: "Tell why a package is installed", Args: cobra.ExactArgs(1), ValidArgsFunction: app.completeInstalled,
		Long: `Tells why a package is installed: because a person asked for it, or because a
package that a person asked for needs or recommends it, by the shortest way.`,
		Example: `  pkgtool why zlib`,
		RunE: func(_ *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				g, err := query.Installed(sys.Installed())
				if err != nil {
					return err
				}
				nodes := g.Named(args[0])
				if len(nodes) == 0 {
					return fault.Mark(fmt.Errorf("package %s is not installed", printable(args[0])), fault.Failed, "why it is not: pkgtool why-not "+printable(args[0]))
				}
				why := g.Why(nodes[len(nodes)-1])
				return app.Print(struct {
					Schema int `json:"schema"`
					query.Why
				}{1, why}, func(w io.Writer) { printWhy(w, why) })
			})
		},
	}
}

func printWhy(w io.Writer, why query.Why) {
	if why.Requested {
		fmt.Fprintf(w, "%s was asked for\n", why.Name)
	}
	for _, chain := range why.Chains {
		fmt.Fprintf(w, "%s was asked for\n", chain[0].From)
		for i, l := range chain {
			words := fmt.Sprintf("%s %s", l.Relation, l.Dependency)
			if l.Relation == query.Supplements {
				words = "is supplemented"
			}
			if name, _, _ := strings.Cut(l.Dependency, " "); name != l.To {
				words += ", which " + l.To + " provides"
			}
			if l.Relation == query.Supplements {
				words = "is supplemented by " + l.To
			}
			fmt.Fprintf(w, "%s%s %s\n", strings.Repeat("  ", i+1), l.From, words)
		}
	}
	if !why.Requested && len(why.Chains) == 0 {
		fmt.Fprintf(w, "nobody asked for %s, and nothing needs it; pkgtool autoremove would remove it\n", why.Name)
	}
}

func whyNotCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "why-not NAME[@VERSION]", Short: "Tell why a package, or a version of it, is not installed", Args: cobra.ExactArgs(1), ValidArgsFunction: app.completeAvailable,
		Long: `Tells what keeps a package, or a version of it, from being installed, as a chain of
reasons with what would resolve it. If nothing does, tells what an installation
would change. Changes nothing and asks no mirror.`,
		Example: `  pkgtool why-not nginx
  pkgtool why-not 'openssl >=4'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			session, err := install.Open(install.Options{Root: app.Root, Offline: true})
			if err != nil {
				return err
			}
			defer session.Close()
			plan, err := session.Plan(cmd.Context(), install.Request{Install: args}, true)
			var no *solver.Unsolvable
			if errors.As(err, &no) {
				return app.Print(map[string]any{"schema": 1, "possible": false, "reasons": no.Reasons, "so": no.So, "remedies": no.Remedies}, func(w io.Writer) {
					fmt.Fprintln(w, printable(no.Error()))
					for _, r := range no.Remedies {
						fmt.Fprintln(w, "  try:", printable(r))
					}
				})
			}
			if err != nil {
				return err
			}
			defer plan.Close()
			return app.Print(map[string]any{"schema": 1, "possible": true, "plan": plan}, func(w io.Writer) {
				if plan.Empty() {
					fmt.Fprintf(w, "%s is installed\n", printable(args[0]))
					return
				}
				fmt.Fprintf(w, "nothing keeps %s from being installed; nobody asked for it. It would change this:\n", printable(args[0]))
				for _, s := range plan.Steps {
					fmt.Fprintf(w, "  %-9s %s %s  (%s)\n", s.Do, s.Name, s.Version, printable(s.Why))
				}
			})
		},
	}
}

func dependsCommand(app *App, reverse bool) *cobra.Command {
	opts := query.TreeOptions{Reverse: reverse}
	var available bool
	cmd := &cobra.Command{
		Use: "depends NAME", Short: "Show what a package depends on, as a tree", Args: cobra.ExactArgs(1), ValidArgsFunction: app.completeAvailable,
		Long: `Shows what a package depends on, as a tree. Of an installed package all levels are
shown, of one on offer (--available, or not installed) the first, unless --depth
says otherwise. A package that occurs again is shown without its branches.`,
		Example: `  pkgtool depends nginx
  pkgtool depends --available --depth 2 nginx`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				g, err := query.Installed(sys.Installed())
				if err != nil {
					return err
				}
				nodes := g.Named(args[0])
				if available || len(nodes) == 0 {
					if !cmd.Flags().Changed("depth") {
						opts.Depth = 1
					}
					if nodes, g, err = app.offered(cmd, args[0], opts); err != nil {
						return err
					}
				}
				top := g.Tree(nodes[len(nodes)-1], opts)
				return app.Print(map[string]any{"schema": 1, "tree": top}, func(w io.Writer) {
					fmt.Fprintln(w, top.Name, top.Version)
					printBranches(w, top, "", reverse)
				})
			})
		},
	}
	if reverse {
		cmd.Use, cmd.Short = "rdepends NAME", "Show what depends on a package, as a tree"
		cmd.Long = strings.Replace(cmd.Long, "Shows what a package depends on", "Shows what depends on a package", 1)
		cmd.Example = strings.ReplaceAll(cmd.Example, "depends", "rdepends")
	}
	cmd.Flags().IntVar(&opts.Depth, "depth", 0, "levels to show; 0 shows all")
	cmd.Flags().BoolVar(&opts.Recommends, "recommends", false, "follow recommendations too")
	cmd.Flags().BoolVar(&available, "available", false, "look at what is on offer, not at what is installed")
	return cmd
}

// offered returns the graph around a package on offer.
func (a *App) offered(cmd *cobra.Command, name string, opts query.TreeOptions) ([]*query.Node, *query.Graph, error) {
	offers, err := a.offers(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	walk := query.Offered
	if opts.Reverse {
		walk = query.OfferedUsers
	}
	g, err := walk(offers, name, opts.Depth)
	if err != nil {
		return nil, nil, err
	}
	nodes := g.Named(name)
	if len(nodes) == 0 {
		return nil, nil, fault.Mark(fmt.Errorf("no package is called %s", printable(name)), fault.Failed, "look for it: pkgtool search "+printable(name))
	}
	return nodes, g, nil
}

func printBranches(w io.Writer, b *query.Branch, indent string, reverse bool) {
	for _, m := range b.Missing {
		fmt.Fprintf(w, "%s`-- %s  (nothing provides it)\n", indent, printable(m))
	}
	for i, below := range b.Branches {
		mark, further := "|-- ", "|   "
		if i == len(b.Branches)-1 {
			mark, further = "`-- ", "    "
		}
		note := ""
		if name, _, _ := strings.Cut(below.Dependency, " "); name != below.Name && !reverse || below.Relation != query.Requires {
			note = "  (" + string(below.Relation) + " " + printable(below.Dependency) + ")"
		}
		if below.Repeated {
			note += "  (see above)"
		}
		fmt.Fprintf(w, "%s%s%s %s%s\n", indent, mark, below.Name, below.Version, note)
		printBranches(w, below, indent+further, reverse)
	}
}
