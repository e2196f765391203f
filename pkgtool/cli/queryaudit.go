package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/query"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
	"ashlar/repo/advisory"

	"github.com/spf13/cobra"
)

func auditCommand(app *App) *cobra.Command {
	fixed := false
	cmd := &cobra.Command{
		Use: "audit [NAME...]", Short: "Compare the installed packages with the security advisories of the repositories",
		ValidArgsFunction: app.completeInstalled,
		Long: `Compares the installed packages, all or those named, with the security advisories
that came with the last refresh, and their packagers with those that the
repositories allow now: a package whose packager was taken out would not be
installed any more. Exits with 4 if it finds any.

With --fixed it also lists the vulnerabilities that the installed builds have
fixed, for a scanner that knows only upstream's version numbers.`,
		Example: `  pkgtool refresh && pkgtool audit
  pkgtool audit --fixed openssh
  pkgtool audit --json | jq -r '.findings[].advisory'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			offers, err := app.offers(cmd.Context())
			if err != nil {
				return err
			}
			advised, err := offers.Advisories(cmd.Context())
			if err != nil {
				return err
			}
			var advisories []*advisory.Advisory
			for _, a := range advised {
				advisories = append(advisories, a.Advisory)
			}
			return app.withSystem(func(sys *system.System) error {
				records := sys.Installed()
				if len(args) > 0 {
					records = nil
					for _, name := range args {
						builds := sys.Builds(name)
						if len(builds) == 0 {
							return notInstalled(name)
						}
						records = append(records, builds...)
					}
				}
				findings := query.Audit(records, advisories, func(name string) (all []version.Version) {
					for _, e := range offers.ByName(name) {
						if v, err := e.EVR(); err == nil {
							all = append(all, v)
						}
					}
					return all
				})
				disowned := query.FindDisowned(records, offers.Packagers, time.Now())
				document := map[string]any{"schema": 1, "advisories": len(advisories), "findings": findings, "disowned": disowned}
				var repaired []query.Repaired
				if fixed {
					repaired = query.FindRepaired(records, advisories)
					document["fixed"] = repaired
				}
				err := app.Print(document, func(w io.Writer) {
					for _, r := range repaired {
						fmt.Fprintf(w, "%s %s: %s is fixed\n", r.Package, r.Installed, printable(strings.Join(append(r.Aliases, r.Advisory), " ")))
					}
					printFindings(w, findings, len(advisories))
					printDisowned(w, disowned)
				})
				if err == nil && len(findings) > 0 {
					err = fault.Mark(fmt.Errorf("%d known vulnerabilities in installed packages", len(findings)), fault.Security, "pkgtool upgrade")
				}
				if err == nil && len(disowned) > 0 {
					err = fault.Mark(fmt.Errorf("%d installed packages are by packagers who are no longer allowed", len(disowned)), fault.Security,
						"pkgtool upgrade, or remove them: their repository would not hand them out today")
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&fixed, "fixed", false, "list also what the installed packages have fixed")
	return cmd
}

func printFindings(w io.Writer, findings []query.Finding, advisories int) {
	for _, f := range findings {
		fix := "no fix yet"
		switch {
		case f.Available != "":
			fix = "upgrade to " + f.Available
		case f.Fixed != "":
			fix = "fixed in " + f.Fixed + ", which is not on offer"
		}
		fmt.Fprintf(w, "%s %s: %s %s: %s; %s\n", f.Package, f.Installed, f.Advisory, strings.Join(f.Aliases, " "), printable(f.Summary), fix)
	}
	if len(findings) == 0 {
		fmt.Fprintf(w, "no installed package is affected by any of %d advisories\n", advisories)
	}
}

func printDisowned(w io.Writer, disowned []query.Disowned) {
	for _, d := range disowned {
		fmt.Fprintf(w, "%s %s: signed only by %s, whom repository %s no longer allows\n", d.Package, d.Installed, printable(strings.Join(d.SignedBy, ", ")), d.Repo)
	}
}

func sbomCommand(app *App) *cobra.Command {
	var number int
	cmd := &cobra.Command{
		Use: "sbom", Short: "Write a bill of materials of the installed packages (SPDX 2.3, JSON)", Args: cobra.NoArgs,
		Long: `Writes an SPDX 2.3 document in JSON: each installed package with version, licence
and the sources it was built from, and which depends on which. The same
generation always gives the same document.`,
		Example: `  pkgtool sbom > sbom.spdx.json
  pkgtool sbom --generation 3`,
		RunE: func(*cobra.Command, []string) error {
			return app.withSystem(func(sys *system.System) error {
				g := sys.Generation()
				if number != 0 {
					var err error
					if g, err = sys.GenerationAt(number); err != nil {
						return err
					}
				}
				return query.WriteSBOM(app.Out, g, sys.Manifest)
			})
		},
	}
	cmd.Flags().IntVar(&number, "generation", 0, "of an earlier generation (default: the present one)")
	return cmd
}

func doctorCommand(app *App) *cobra.Command {
	opts := query.DoctorOptions{}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong with the system, or soon will be", Args: cobra.NoArgs,
		Long: `Looks at the last transaction, dependencies, files, configuration, free space, the
clock and the repositories, and says what to do. Changes nothing and asks no
mirror. Exits with 1 if something is wrong.`,
		Example: `  pkgtool doctor
  pkgtool doctor --hashes --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.withSystem(func(sys *system.System) error {
				opts.Root = app.Root
				checks, err := query.Doctor(cmd.Context(), sys, opts)
				if err != nil {
					return err
				}
				bad := 0
				err = app.Print(map[string]any{"schema": 1, "checks": checks}, func(w io.Writer) {
					for _, c := range checks {
						fmt.Fprintf(w, "%-8s %-16s %s\n", c.State, printable(c.Name), printable(c.Text))
						if c.Remedy != "" {
							fmt.Fprintf(w, "%-25s try: %s\n", "", printable(c.Remedy))
						}
					}
				})
				for _, c := range checks {
					if c.State == query.Bad {
						bad++
					}
				}
				if err == nil && bad > 0 {
					err = fmt.Errorf("%d checks found something wrong", bad)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&opts.Hashes, "hashes", false, "read every installed file")
	return cmd
}
