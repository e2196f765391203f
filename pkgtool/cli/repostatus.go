package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"

	"github.com/spf13/cobra"
)

func repoStatus(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "status DIR", Short: "Tell how a repository is: what it offers, what waits, when it expires", Args: cobra.ExactArgs(1),
		Long: `Verifies metadata and indexes, not the packages (that is repo check), and tells
what they say. For monitoring: the exit code is 0 if all is well, also with warnings,
and 4 if clients refuse the repository, now or since nothing was published yet.`,
		Example: `  pkgtool repo status /srv/repo
  pkgtool repo status --json /srv/repo | jq -r '.warnings[]'`,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			s, err := r.Status()
			if err != nil {
				return err
			}
			result := struct {
				Schema int `json:"schema"`
				*repo.Status
			}{1, s}
			if err := app.Print(result, func(w io.Writer) { printRepoStatus(w, s) }); err != nil {
				return err
			}
			if len(s.Problems) > 0 {
				return fault.Errorf(fault.Security, "%s: %s", args[0], s.Problems[0])
			}
			return nil
		},
	}
}

func printRepoStatus(w io.Writer, s *repo.Status) {
	published := "never"
	if !s.Published.IsZero() {
		published = s.Published.Format(time.RFC3339)
	}
	fmt.Fprintf(w, "repository %s, published %s\n", s.Name, published)
	for _, r := range s.Roles {
		fmt.Fprintf(w, "  %-10s version %-12d good until %s\n", r.Role, r.Version, r.Expires.Format(time.RFC3339))
	}
	for _, c := range s.Channels {
		fmt.Fprintf(w, "  %-10s %-8s %d packages, %d superseded, %d changes to publish\n", c.Channel, c.Arch, c.Packages, c.Superseded, c.Pending)
	}
	for _, stage := range s.Stages {
		fmt.Fprintf(w, "  stage %s: %d packages", stage.Name, stage.Packages)
		if len(stage.Missing) > 0 {
			fmt.Fprintf(w, ", missing %s", strings.Join(stage.Missing, ", "))
		}
		fmt.Fprintln(w)
	}
	if len(s.Locks) > 0 {
		fmt.Fprintf(w, "  locks kept: %s\n", strings.Join(s.Locks, ", "))
	}
	fmt.Fprintf(w, "  pool: %d files, %d bytes; metadata and indexes: %d files, %d bytes\n", s.Pool.Files, s.Pool.Bytes, s.Metadata.Files, s.Metadata.Bytes)
	if n := len(s.Publications); n > 0 {
		fmt.Fprintf(w, "  publications, the newest first:")
		for i := range s.Publications {
			fmt.Fprintf(w, " %d", s.Publications[n-1-i])
		}
		fmt.Fprintln(w)
	}
	for _, text := range s.Problems {
		fmt.Fprintf(w, "problem: %s\n", text)
	}
	for _, text := range s.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
}
