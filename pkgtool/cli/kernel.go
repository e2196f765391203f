package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	kernelconfig "ashlar/kernel-config"
	"ashlar/kernel-config/kconfig"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

// kernelCommands is `pkgtool kernel`.
func kernelCommands(app *App) []*cobra.Command {
	k := &kernelCommand{app: app}
	cmd := &cobra.Command{
		Use:   "kernel",
		Short: "Merge, check, compare and explain kernel configurations",
		Long: `Merge, check, compare and explain kernel configurations.

A flavour is a list of fragments; a fragment is .config text with rules that say
what of it is required, wanted or forbidden, and why. An own fragment goes on top
with --fragment FILE; what it asks for wins, and is required. The kernel is built
with it by "pkgtool build --kernel-fragment linux-server=FILE", or by the line
"kernel_fragments: [FILE]" of an image.`,
		Example: `  pkgtool kernel list
  pkgtool kernel config server --fragment mine.config
  pkgtool kernel check server --config .config --source linux-6.1
  pkgtool kernel why DM_VERITY --source linux-6.1
  pkgtool kernel diff virt server`,
		Args: cobra.NoArgs,
	}
	cmd.PersistentFlags().StringVar(&k.data, "data", "", "folder with flavours/ and fragments/ (default: the ones built in)")
	cmd.AddCommand(k.list(), k.config(), k.check(), k.why(), k.diff(), k.appeared(), k.certificate())
	return []*cobra.Command{cmd}
}

type kernelCommand struct {
	app  *App
	data string
	own  []string // files of the user's fragments
}

// fragments lets a command take own fragments.
func (k *kernelCommand) fragments(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringArrayVar(&k.own, "fragment", nil, "put the own fragment in `FILE` on top")
	cmd.ValidArgsFunction = k.complete
	return cmd
}

// complete offers the names of flavours.
func (k *kernelCommand) complete(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names, _ := kernelconfig.Flavours(k.files())
	return names, cobra.ShellCompDirectiveDefault
}

func (k *kernelCommand) files() fs.FS {
	if k.data != "" {
		return os.DirFS(k.data)
	}
	return kernelconfig.Shipped()
}

func (k *kernelCommand) load(name string) (*kernelconfig.Flavour, error) {
	f, err := kernelconfig.Load(k.files(), name)
	if err != nil {
		return nil, fault.Mark(err, fault.Usage, "")
	}
	for _, file := range k.own {
		if err := f.Add(file); err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
	}
	return f, nil
}

func (k *kernelCommand) list() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the kernel flavours",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			names, err := kernelconfig.Flavours(k.files())
			if err != nil {
				return err
			}
			flavours := []*kernelconfig.Flavour{}
			for _, name := range names {
				f, err := k.load(name)
				if err != nil {
					return err
				}
				flavours = append(flavours, f)
			}
			return k.app.Print(flavours, func(w io.Writer) {
				for _, f := range flavours {
					fmt.Fprintf(w, "%-8s %-13s %s\n", f.Name, f.Base, f.Summary)
				}
			})
		},
	}
}

func (k *kernelCommand) config() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "config FLAVOUR",
		Short: "Write what a flavour asks for as .config text",
		Long: `Write what a flavour's fragments and overrides ask for as .config text: to
stdout, or with --source to DIR/.config. The kernel's own tools then complete it;
"pkgtool kernel list" names the make target of each flavour.`,
		Example: `  pkgtool kernel config server --source DIR
  make -C DIR KCONFIG_ALLCONFIG=.config alldefconfig
  pkgtool kernel check server --config DIR/.config --source DIR`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := k.load(args[0])
			if err != nil {
				return err
			}
			if source != "" {
				path := filepath.Join(source, ".config")
				if err := durable.WriteFile(path, f.Merge(), 0o644); err != nil {
					return err
				}
				k.app.Say("wrote %s", path)
				return nil
			}
			_, err = k.app.Out.Write(f.Merge())
			return err
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "kernel source folder to write .config into")
	return k.fragments(cmd)
}

func (k *kernelCommand) check() *cobra.Command {
	var file, source string
	cmd := &cobra.Command{
		Use:   "check FLAVOUR",
		Short: "Check a completed .config against a flavour's promises",
		Long: `Check a completed .config against a flavour's promises and against what others
ask of a kernel (Docker's check, systemd's README, virt-host-validate, the kernel
hardening checker), where the flavour names that.

What is required and lost, or forbidden and set, is a failure with exit code 1;
what is wanted and lost is a warning. With --source each is explained: the
dependency that is not met, with today's values. --verbose also lists where the
flavour differs from others on purpose, and why.`,
		Example: `  pkgtool kernel check server --config .config --source linux-6.1
  pkgtool kernel check server --config /usr/lib/modules/$(uname -r)/config --verbose`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := k.load(args[0])
			if err != nil {
				return err
			}
			config, err := kernelconfig.ReadConfig(file)
			if err != nil {
				return fault.Mark(err, fault.Usage, "name the completed configuration with --config FILE")
			}
			var tree *kconfig.Tree
			if source != "" {
				if tree, err = kernelconfig.ReadSource(source, f.Arch); err != nil {
					return err
				}
			}
			report, err := kernelconfig.Check(f, config, tree)
			if err != nil {
				return err
			}
			if err := k.app.Print(report, func(w io.Writer) { report.Write(w); k.differences(w, report) }); err != nil {
				return err
			}
			if err := report.Err(); err != nil && source == "" {
				return fault.Mark(err, fault.Failed, "add --source DIR with the kernel source to see why")
			}
			return report.Err()
		},
	}
	cmd.Flags().StringVar(&file, "config", ".config", "the completed configuration")
	cmd.Flags().StringVar(&source, "source", "", "kernel source folder, to explain what is missing")
	return k.fragments(cmd)
}

func (k *kernelCommand) why() *cobra.Command {
	var file, source, wanted string
	cmd := &cobra.Command{
		Use:   "why SYMBOL",
		Short: "Explain why a symbol has the value it has",
		Long: `Explain why a symbol is not y: the dependency that is not met, with today's
values, and the same for each symbol in the way; or, for one that is set, who
selects it. Also says which fragments and rules of the flavours speak of it.`,
		Example: `  pkgtool kernel why DM_VERITY --source linux-6.1 --config .config
  pkgtool kernel why HIBERNATE_CALLBACKS --source linux-6.1 --want n`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			symbol := strings.TrimPrefix(args[0], "CONFIG_")
			answer, err := kernelconfig.Why(k.files(), symbol, file, source, wanted)
			if err != nil {
				return fault.Mark(err, fault.Usage, "")
			}
			return k.app.Print(answer, answer.Write)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "a completed configuration (default: SOURCE/.config)")
	cmd.Flags().StringVar(&source, "source", ".", "kernel source folder")
	cmd.Flags().StringVar(&wanted, "want", "", "the value you want (default: the opposite of today's)")
	return cmd
}
