package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/system/merge"

	"github.com/spf13/cobra"
)

// mergeResult is what config merge prints with --json.
type mergeResult struct {
	Schema    int    `json:"schema"`
	Path      string `json:"path"`
	Conflicts int    `json:"conflicts"`
	Settled   bool   `json:"settled"`          // false with --output
	Output    string `json:"output,omitempty"` // where the text was written instead
}

func configMergeCommand(app *App) *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use: "merge PATH", Short: "Merge the package's changes into an edited configuration file", Args: cobra.ExactArgs(1), ValidArgsFunction: app.completeConfig,
		Long: `Merge the package's changes into an edited configuration file. Where both changed the
same lines, an editor ($VISUAL, $EDITOR, else vi) opens with both versions between
conflict markers; the file is settled when none is left. With --output, the merged
text is written elsewhere and nothing is settled: complete it, then use
config accept --file.`,
		Example: `  pkgtool config merge /etc/ssh/sshd_config
  pkgtool config merge --output merged /etc/ssh/sshd_config`,
		RunE: func(_ *cobra.Command, args []string) error {
			return app.withSystem(func(sys *system.System) error {
				files, err := app.configFiles(sys, args)
				if err != nil {
					return err
				}
				text, conflicts, err := mergeConfig(sys, files[0])
				if err != nil {
					return err
				}
				result := mergeResult{Schema: 1, Path: "/" + files[0].Path, Conflicts: conflicts, Output: output}
				if output != "" {
					if err := app.writeMerged(output, text); err != nil {
						return err
					}
					return app.Print(result, func(io.Writer) { app.Say("%d conflicts; written to %s", conflicts, output) })
				}
				if conflicts > 0 {
					if text, err = app.edit(result.Path, text); err != nil {
						return err
					}
				}
				if err := sys.ResolveConfig(files[0].Path, text); err != nil {
					return err
				}
				result.Settled = true
				return app.Print(result, func(w io.Writer) { fmt.Fprintf(w, "settled %s\n", printable(result.Path)) })
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the merged text to this file, - for stdout")
	return cmd
}

// mergeConfig merges the three texts of a configuration file.
func mergeConfig(sys *system.System, f system.ConfigFile) (text []byte, conflicts int, err error) {
	name := "/" + f.Path
	base, theirs, ours, err := sys.ConfigTexts(f.Path)
	switch {
	case err != nil:
		return nil, 0, err
	case ours == nil:
		return nil, 0, fault.Mark(fmt.Errorf("%s was removed; there is nothing to merge with", name), fault.Usage,
			"take the package's version, or leave it away: pkgtool config accept --theirs|--ours "+name)
	case theirs == nil:
		return nil, 0, unknownText(name)
	}
	text, conflicts = merge.Three(base, ours, theirs)
	if text == nil && conflicts > 0 {
		return nil, 0, fault.Mark(fmt.Errorf("%s cannot be merged line by line: it is binary, very large or altogether different", name), fault.Failed,
			"take one of the versions: pkgtool config accept --theirs|--ours "+name)
	}
	if text == nil {
		text = []byte{} // for ResolveConfig an empty text, not none
	}
	return text, conflicts, nil
}

func (a *App) writeMerged(output string, text []byte) error {
	if output == "-" {
		if a.JSON {
			return fault.Errorf(fault.Usage, "--output - and --json both want stdout; name a file")
		}
		_, err := a.exact().Write(text)
		return err
	}
	// The text may hold secrets, as the file does.
	return os.WriteFile(output, text, 0o600)
}

// edit lets a person resolve the conflicts in a text.
func (a *App) edit(name string, text []byte) ([]byte, error) {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		if !terminal(a.Out) {
			return nil, fault.Mark(fmt.Errorf("%s has conflicts, and nobody is there to edit", name), fault.Usage,
				"write it to a file with --output, complete it, and use pkgtool config accept --file")
		}
		editor = "vi"
	}
	f, err := os.CreateTemp("", "merge-*-"+path.Base(name))
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	// $EDITOR may have arguments, as for git and others.
	cmd := exec.Command("/bin/sh", "-c", editor+` "$1"`, "sh", f.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Err, a.Err
	if terminal(a.Out) {
		cmd.Stdout = a.Out
	}
	if err := cmd.Run(); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w; your text is in %s", editor, err, f.Name()), fault.Failed, "nothing was settled; set EDITOR")
	}
	edited, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, err
	}
	if err := unmarked(edited, f.Name()); err != nil {
		return nil, err
	}
	return edited, os.Remove(f.Name())
}

// unmarked refuses a text that nobody has completed.
func unmarked(text []byte, name string) error {
	if !merge.Marked(text) {
		return nil
	}
	return fault.Mark(fmt.Errorf("%s: conflict markers (<<<<<<<, |||||||, >>>>>>>) are left; nothing was settled", name), fault.Usage,
		"remove them with what is not wanted, then: pkgtool config accept --file "+name+" PATH")
}
