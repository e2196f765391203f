package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

// remoteCommands tell a system which repositories to use.
func remoteCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "remote",
		Short: "Say which repositories a system uses, and whom it trusts for them",
		Long: `The repositories of a system are defined in /etc/pkgtool/repositories.d, one file
each. Each is trusted by the root metadata in /etc/pkgtool/trust/NAME/root.json,
and by nothing else: what a mirror says of itself is never believed.`,
		Example: `  pkgtool remote add example https://packages.example.org/ --root-file root.json
  pkgtool remote list
  pkgtool remote disable example`,
	}
	cmd.AddCommand(remoteAdd(app), remoteList(app), remoteRemove(app), remoteSwitch(app, true), remoteSwitch(app, false), refreshCommand(app))
	return []*cobra.Command{cmd, refreshCommand(app)}
}

// remote is what `remote list` says of a repository.
type remote struct {
	Name     string         `json:"name"`
	URLs     []string       `json:"urls"`
	Channel  string         `json:"channel"`
	Priority int            `json:"priority"`
	Enabled  bool           `json:"enabled"`
	Root     *client.Root   `json:"root,omitempty"`
	Status   *client.Status `json:"status,omitempty"`  // as of the last refresh
	Problem  string         `json:"problem,omitempty"` // why it cannot be used
}

func remoteList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the repositories, whom they are trusted by, and what they had last", Args: cobra.NoArgs,
		Example: "  pkgtool remote list\n  pkgtool remote list --json | jq -r '.repositories[] | select(.enabled) | .name'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dirs := client.DirsOf(app.Root)
			configs, err := client.LoadConfigs(dirs.Config)
			if err != nil {
				return err
			}
			remotes := make([]remote, len(configs))
			for i, c := range configs {
				remotes[i] = app.remote(cmd.Context(), dirs, c)
			}
			return app.Print(map[string]any{"schema": 1, "repositories": remotes}, func(w io.Writer) {
				for _, r := range remotes {
					showRemote(w, r)
				}
			})
		},
	}
}

func (a *App) remote(ctx context.Context, dirs client.Dirs, c client.Config) remote {
	r := remote{Name: c.Name, URLs: c.URLs, Channel: c.Channel, Priority: c.Priority, Enabled: c.On()}
	var err error
	if r.Root, err = dirs.PinnedRoot(c.Name); err != nil {
		r.Problem = err.Error()
	}
	if !c.On() || err != nil {
		return r
	}
	repositories, err := client.Open([]client.Config{c}, dirs, client.Options{AllowStale: true, Warn: func(err error) { r.Problem = err.Error() }})
	if err == nil {
		var statuses []client.Status
		if statuses, err = repositories.Load(ctx); len(statuses) == 1 {
			r.Status = &statuses[0]
		}
	}
	if err != nil {
		r.Problem = err.Error()
	}
	return r
}

func showRemote(w io.Writer, r remote) {
	state := "enabled"
	if !r.Enabled {
		state = "disabled"
	}
	fmt.Fprintf(w, "%s  %s, channel %s, priority %d\n", r.Name, state, r.Channel, r.Priority)
	for _, u := range r.URLs {
		fmt.Fprintf(w, "  %s\n", printable(u))
	}
	if r.Root != nil {
		fmt.Fprintf(w, "  root version %d, sha256 %s\n", r.Root.Version, r.Root.SHA256)
	}
	if s := r.Status; s != nil {
		published := ""
		if !s.Published.IsZero() {
			published = fmt.Sprintf(", published %s ago", client.Age(time.Since(s.Published)))
		}
		fmt.Fprintf(w, "  version %d, %d packages%s, good until %s\n", s.Version, s.Packages, published, s.Expires.Format(time.DateOnly))
	}
	if r.Problem != "" {
		fmt.Fprintf(w, "  %s\n", printable(r.Problem))
	}
}

func remoteRemove(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a repository and the root that it is trusted by; its packages stay", Args: cobra.ExactArgs(1),
		Example: "  pkgtool remote remove example", ValidArgsFunction: app.completeRemote,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := client.DirsOf(app.Root).Undefine(args[0]); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "name": args[0], "removed": true}, func(w io.Writer) {
				fmt.Fprintf(w, "removed %s\n", args[0])
			})
		},
	}
}

func remoteSwitch(app *App, on bool) *cobra.Command {
	verb, short := "enable", "Use a repository"
	if !on {
		verb, short = "disable", "Do not use a repository any more; it stays defined and trusted"
	}
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Args: cobra.ExactArgs(1),
		Example: "  pkgtool remote " + verb + " example", ValidArgsFunction: app.completeRemote,
		RunE: func(_ *cobra.Command, args []string) error {
			changed, err := client.DirsOf(app.Root).SetEnabled(args[0], on)
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "name": args[0], "enabled": on, "changed": changed}, func(w io.Writer) {
				if changed {
					fmt.Fprintf(w, "%sd %s\n", verb, args[0])
				} else {
					fmt.Fprintf(w, "%s was %sd already\n", args[0], verb)
				}
			})
		},
	}
}

func refreshCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "refresh [NAME...]", Short: "Ask the repositories what they offer now",
		Example: "  pkgtool refresh\n  pkgtool refresh example --json | jq '.repositories[].packages'", ValidArgsFunction: app.completeRemote,
		RunE: func(cmd *cobra.Command, args []string) error {
			statuses, refreshErr := app.refresh(cmd.Context(), args)
			if statuses == nil {
				if refreshErr != nil {
					return refreshErr
				}
				statuses = []client.Status{}
			}
			err := app.Print(map[string]any{"schema": 1, "repositories": statuses}, func(w io.Writer) {
				for _, s := range statuses {
					fmt.Fprintf(w, "%-16s %-8s version %d, %d packages, good until %s\n", s.Name, s.Channel, s.Version, s.Packages, s.Expires.Format(time.DateOnly))
				}
			})
			return errors.Join(refreshErr, err)
		},
	}
}

// refresh asks the repositories that are named, or all.
func (a *App) refresh(ctx context.Context, names []string) ([]client.Status, error) {
	dirs := client.DirsOf(a.Root)
	configs, err := client.LoadConfigs(dirs.Config)
	if err != nil {
		return nil, err
	}
	if configs, err = chosen(configs, names); err != nil {
		return nil, err
	}
	repositories, err := client.Open(configs, dirs, client.Options{Warn: func(err error) { a.Say("%s", printable(err.Error())) }})
	if err != nil {
		return nil, err
	}
	return repositories.Refresh(ctx)
}

// chosen picks the repositories that were named, all if none was.
func chosen(configs []client.Config, names []string) ([]client.Config, error) {
	if len(names) == 0 {
		return configs, nil
	}
	var some []client.Config
	for _, name := range names {
		i := slices.IndexFunc(configs, func(c client.Config) bool { return c.Name == name })
		switch {
		case i < 0:
			return nil, fault.Mark(fmt.Errorf("no repository is called %q", name), fault.Usage, "see which there are: pkgtool remote list")
		case !configs[i].On():
			return nil, fault.Mark(fmt.Errorf("repository %s is disabled", name), fault.Usage, "pkgtool remote enable "+name)
		}
		some = append(some, configs[i])
	}
	return some, nil
}

// completeRemote completes names of repositories.
func (a *App) completeRemote(_ *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
	configs, err := client.LoadConfigs(client.DirsOf(a.Root).Config)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, c := range configs {
		if strings.HasPrefix(c.Name, typed) && !slices.Contains(given, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
