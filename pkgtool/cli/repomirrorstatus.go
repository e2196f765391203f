package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/mirror"

	"github.com/spf13/cobra"
)

func repoMirrorStatus(app *App) *cobra.Command {
	var flags mirrorFlags
	var origins []string
	var maxAge, prometheus string
	cmd := &cobra.Command{
		Use: "status MIRROR", Short: "Judge a mirror, for people and for monitoring", Args: cobra.ExactArgs(1),
		Long: `Looks at a mirror as a client would: signatures, expiry, whether every object of
the state it shows is there with its length (with --verify: with its hash), how
old it is and, with --origin, how far behind.

Exit codes: 0 fine; 1 something is missing, old or behind; 4 clients would
refuse what is there (tampered, not signed); 5 no usable answer; 8 it has expired.

A mirror in a folder knows whom to trust; of one elsewhere say so with
--root-file or --fingerprint. Of a mirror of a part that is not in a folder or
store of yours, say which part with --channel and --arch.`,
		Example: `  pkgtool repo mirror status /srv/mirror --origin https://packages.example.org/
  pkgtool repo mirror status https://mirror.example.net/ --root-file root.json --max-age 2d
  pkgtool repo mirror status /srv/mirror -q --prometheus /var/lib/node-exporter/ashlar.prom`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.options(app, args[0], args[0])
			if err != nil {
				return err
			}
			age, err := parseDays(maxAge)
			if err != nil {
				return fault.Mark(fmt.Errorf("--max-age: %w", err), fault.Usage, "")
			}
			places, done, err := openSources(cmd.Context(), append(args, origins...))
			if err != nil {
				return err
			}
			defer done()
			report, err := mirror.Inspect(cmd.Context(), places[0], places[1:], age, o)
			if err != nil {
				return err
			}
			if prometheus != "" {
				if err := durable.WriteFile(prometheus, report.Prometheus(), 0o644); err != nil {
					return err
				}
			}
			if err := app.Print(map[string]any{"schema": 1, "status": report}, func(w io.Writer) { printStatus(w, report) }); err != nil {
				return err
			}
			if !report.Healthy {
				return fault.Errorf(report.Class(), "%s: %d problems", report.Mirror, len(report.Problems)+report.More)
			}
			return nil
		},
	}
	flags.trust(cmd)
	flags.part(cmd)
	flags.jobs(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&origins, "origin", nil, "where the repository comes from; may be given several times")
	f.StringVar(&maxAge, "max-age", "36h", "longest time since the last complete run, and behind the origin")
	f.BoolVar(&flags.option.Verify, "verify", false, "read every object, and compare its hash")
	f.StringVar(&prometheus, "prometheus", "", "write the figures to this file, for a Prometheus textfile collector")
	return cmd
}

func printStatus(w io.Writer, r *mirror.Report) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if r.More > 0 {
		fmt.Fprintf(w, "and %d problems more\n", r.More)
	}
	if r.Version == 0 {
		return
	}
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	var parts []string
	if r.Healthy {
		parts = append(parts, "good")
	}
	parts = append(parts, fmt.Sprintf("version %d, published %s, good until %s", r.Version, at(r.Published), at(r.Expires)))
	fmt.Fprintf(w, "%s; %d objects, %s\n", strings.Join(parts, ": "), r.Objects, mebibytes(r.Bytes))
	if !r.Synced.IsZero() {
		fmt.Fprintf(w, "last complete run %s ago\n", (time.Duration(r.Age) * time.Second).String())
	}
	if o := r.Origin; o != nil && o.Version > r.Version {
		fmt.Fprintf(w, "the origin shows version %d, published %s, %s later\n", o.Version, at(o.Published), time.Duration(o.Behind)*time.Second)
	} else if o != nil {
		fmt.Fprintln(w, "the origin shows nothing newer")
	}
}
