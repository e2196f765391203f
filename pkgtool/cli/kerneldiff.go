package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	kernelconfig "ashlar/kernel-config"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

// differences lists where the flavour differs from others on purpose.
func (k *kernelCommand) differences(w io.Writer, report *kernelconfig.Report) {
	if !k.app.Verbose {
		return
	}
	for _, l := range report.Lists {
		for _, row := range l.Differs {
			fmt.Fprintf(w, "list %s asks for %s, and it is %s: %s\n", l.List, row.Row, row.Have, row.Reason)
		}
	}
}

// settings reads a .config file or, where there is none, a flavour.
func (k *kernelCommand) settings(name string) (kernelconfig.Settings, error) {
	info, err := os.Stat(name)
	if err == nil && info.Mode().IsRegular() || strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, "config") {
		config, err := kernelconfig.ReadConfig(name)
		if err != nil {
			return kernelconfig.Settings{}, fault.Mark(err, fault.Usage, "name a flavour or a file with .config text")
		}
		return config.Settings(name), nil
	}
	f, err := kernelconfig.Load(k.files(), name)
	if err != nil {
		return kernelconfig.Settings{}, fault.Mark(err, fault.Usage, "name a flavour or a file with .config text")
	}
	return f.Settings(), nil
}

func (k *kernelCommand) diff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Compare two flavours, or two configurations of kernels",
		Long: `Compare what two flavours ask for, or what two .config files say: what came (+),
what went (-), what changed (~), with the fragment that asks for it. A symbol that
is not named counts as off.`,
		Example: `  pkgtool kernel diff virt server
  pkgtool kernel diff /usr/lib/modules/6.1.170-ashlar-1/config .config --json`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: k.complete,
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := k.settings(args[0])
			if err != nil {
				return err
			}
			after, err := k.settings(args[1])
			if err != nil {
				return err
			}
			d := kernelconfig.Compare(before, after)
			return k.app.Print(d, d.Write)
		},
	}
}

func (k *kernelCommand) appeared() *cobra.Command {
	var older, newer string
	cmd := &cobra.Command{
		Use:   "new FLAVOUR --from OLDER --source NEWER",
		Short: "List what a newer kernel brings that a flavour says nothing of",
		Long: `Compare the Kconfig files of two kernels and list what a flavour has to decide
before it moves: symbols that can be asked for, that the newer kernel has, the
older one lacks and no fragment or rule mentions, with what they depend on and
their default; and symbols the flavour asks for that are gone, often renamed.`,
		Example: "  pkgtool kernel new server --from linux-6.1 --source linux-6.12",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := k.load(args[0])
			if err != nil {
				return err
			}
			from, err := kernelconfig.ReadSource(older, f.Arch)
			if err != nil {
				return fault.Mark(err, fault.Usage, "name the older kernel's source folder with --from DIR")
			}
			to, err := kernelconfig.ReadSource(newer, f.Arch)
			if err != nil {
				return fault.Mark(err, fault.Usage, "name the newer kernel's source folder with --source DIR")
			}
			result := kernelconfig.New(f, from, to)
			return k.app.Print(result, result.Write)
		},
	}
	cmd.Flags().StringVar(&older, "from", "", "source folder of the kernel that the flavour was made for")
	cmd.Flags().StringVar(&newer, "source", "", "source folder of the newer kernel")
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("source")
	return k.fragments(cmd)
}
