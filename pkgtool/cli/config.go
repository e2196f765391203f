package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

// configCommands deal with configuration files that an administrator has edited.
func configCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Compare and merge edited configuration files",
		Long: `Compare and merge edited configuration files. An upgrade merges the package's changes
into an edited file by itself where they do not touch the edits. Where they do, the
file stays as it is, and the package's version waits beside it as PATH.new: the file
is pending until it is merged or one of the two is accepted.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configListCommand(app), configDiffCommand(app), configMergeCommand(app), configAcceptCommand(app))
	return []*cobra.Command{cmd}
}

func configListCommand(app *App) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use: "list", Short: "List configuration files that are not as their packages brought them", Args: cobra.NoArgs,
		Long: `List configuration files that are not as their packages brought them: modified (edited),
missing (removed), or pending (edited, and a changed version of the package waits).`,
		Example: "  pkgtool config list\n  pkgtool config list --json | jq -r '.files[] | select(.state == \"pending\").path'",
		RunE: func(*cobra.Command, []string) error {
			return app.withSystem(func(sys *system.System) error {
				files, err := sys.ConfigFiles()
				if err != nil {
					return err
				}
				if !all {
					files = slices.DeleteFunc(files, func(f system.ConfigFile) bool { return f.State == system.ConfigUnmodified })
				}
				if files == nil {
					files = []system.ConfigFile{}
				}
				return app.Print(map[string]any{"schema": 1, "files": files}, func(w io.Writer) {
					for _, f := range files {
						fmt.Fprintf(w, "%-10s %-24s /%s\n", f.State, f.Package, printable(f.Path))
					}
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list those that nobody edited too")
	return cmd
}

// configDiff is what config diff prints of a file with --json.
type configDiff struct {
	Path  string `json:"path"`
	State string `json:"state"`
	Diff  string `json:"diff"` // unified; empty if the two are equal
}

func configDiffCommand(app *App) *cobra.Command {
	incoming := false
	cmd := &cobra.Command{
		Use: "diff [PATH...]", Short: "Show what was edited in configuration files, all if none is named", ValidArgsFunction: app.completeConfig,
		Long: `Show what was edited: the difference from the package's version of a file to the one
in use. With --incoming, show what the package has changed since the edits began.`,
		Example: "  pkgtool config diff /etc/ssh/sshd_config\n  pkgtool config diff --incoming /etc/ssh/sshd_config",
		RunE: func(_ *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				files, err := app.configFiles(sys, args)
				if err != nil {
					return err
				}
				diffs := []configDiff{}
				for _, f := range files {
					base, theirs, ours, err := sys.ConfigTexts(f.Path)
					if err != nil {
						return err
					}
					d := configDiff{Path: "/" + f.Path, State: f.State}
					if incoming {
						d.Diff, err = unified(d.Path, "at the edits", base, "package", theirs)
					} else {
						d.Diff, err = unified(d.Path, "package", theirs, "yours", ours)
					}
					if err != nil {
						return err
					}
					diffs = append(diffs, d)
				}
				return app.Print(map[string]any{"schema": 1, "files": diffs}, func(io.Writer) {
					for _, d := range diffs {
						io.WriteString(app.exact(), d.Diff)
					}
				})
			})
		},
	}
	cmd.Flags().BoolVar(&incoming, "incoming", false, "show the package's changes instead of the edits")
	return cmd
}

// unified returns the difference between two versions of a file, which can be
// nil: a missing file, or a text that the store does not have.
func unified(path, oldName string, old []byte, newName string, new []byte) (string, error) {
	if old == nil {
		return "", unknownText(path)
	}
	if slices.Contains(old, 0) || slices.Contains(new, 0) {
		if string(old) == string(new) {
			return "", nil
		}
		return fmt.Sprintf("binary files %s (%s) and %[1]s (%s) differ\n", path, oldName, newName), nil
	}
	text := string(diff.Diff(path+" ("+oldName+")", old, path+" ("+newName+")", new))
	// Its first line names the command that made it, for other uses.
	_, text, _ = strings.Cut(text, "\n")
	return text, nil
}

func unknownText(path string) error {
	return fault.Mark(fmt.Errorf("the package's text of %s is not kept here", path), fault.Failed,
		"reinstall the package that owns it: pkgtool owns "+path)
}

// exact is where texts go that another program may read byte for byte: nothing in
// them is replaced unless they are shown on a terminal.
func (a *App) exact() io.Writer {
	if terminal(a.Out) {
		return screen{a.Out}
	}
	return a.Out
}

// configFiles returns the named configuration files, or without names all that
// are edited or pending.
func (a *App) configFiles(sys *system.System, names []string) ([]system.ConfigFile, error) {
	all, err := sys.ConfigFiles()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return slices.DeleteFunc(all, func(f system.ConfigFile) bool {
			return f.State != system.ConfigModified && f.State != system.ConfigPending
		}), nil
	}
	var files []system.ConfigFile
	for _, name := range names {
		inside, err := insideRoot(a.Root, name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(f system.ConfigFile) bool { return f.Path == inside })
		if i < 0 {
			return nil, fault.Mark(fmt.Errorf("/%s is not a configuration file of an installed package", inside), fault.Usage,
				"see which there are: pkgtool config list --all")
		}
		files = append(files, all[i])
	}
	return files, nil
}

// completeConfig completes paths of configuration files that are not as their
// packages brought them.
func (a *App) completeConfig(_ *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
	sys, err := system.Open(a.Root)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer sys.Close()
	files, err := sys.ConfigFiles()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var paths []string
	for _, f := range files {
		path := "/" + f.Path
		if f.State != system.ConfigUnmodified && strings.HasPrefix(path, typed) && !slices.Contains(given, path) {
			paths = append(paths, path+"\t"+f.State+", "+f.Package)
		}
	}
	return paths, cobra.ShellCompDirectiveNoFileComp
}

func configAcceptCommand(app *App) *cobra.Command {
	ours, theirs, file := false, false, ""
	cmd := &cobra.Command{
		Use: "accept PATH... (--ours|--theirs|--file FILE)", Short: "Settle configuration files with one version", Args: cobra.MinimumNArgs(1), ValidArgsFunction: app.completeConfig,
		Long: `Settle configuration files with one version: the one in use (--ours), the package's
(--theirs), or that in FILE, as config merge --output has written it and a person has
completed it. PATH.new goes, and later upgrades begin from the package's present text.`,
		Example: `  pkgtool config accept --ours /etc/ssh/sshd_config
  pkgtool config accept --theirs /etc/motd /etc/issue
  pkgtool config accept --file merged /etc/ssh/sshd_config`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(slices.DeleteFunc([]bool{ours, theirs, file != ""}, func(given bool) bool { return !given })) != 1 {
				return fault.Errorf(fault.Usage, "say which version: one of --ours, --theirs and --file")
			}
			if file != "" && len(args) > 1 {
				return fault.Errorf(fault.Usage, "--file is for one configuration file, not %d", len(args))
			}
			var text []byte
			if file != "" {
				var err error
				if text, err = os.ReadFile(file); err != nil {
					return fault.Mark(err, fault.Usage, "")
				}
				if err := unmarked(text, file); err != nil {
					return err
				}
			}
			return app.withSystem(func(sys *system.System) error {
				files, err := app.configFiles(sys, args)
				if err != nil {
					return err
				}
				settled := []string{}
				for _, f := range files {
					content := text
					if theirs {
						if _, content, _, err = sys.ConfigTexts(f.Path); err == nil && content == nil {
							err = unknownText("/" + f.Path)
						}
						if err != nil {
							return err
						}
					}
					if err := sys.ResolveConfig(f.Path, content); err != nil {
						return err
					}
					settled = append(settled, "/"+f.Path)
				}
				return app.Print(map[string]any{"schema": 1, "settled": settled}, func(w io.Writer) {
					for _, path := range settled {
						fmt.Fprintf(w, "settled %s\n", printable(path))
					}
				})
			})
		},
	}
	cmd.Flags().BoolVar(&ours, "ours", false, "keep the file as it is")
	cmd.Flags().BoolVar(&theirs, "theirs", false, "take the package's version; the edits are lost")
	cmd.Flags().StringVar(&file, "file", "", "take the text in this file")
	return cmd
}
