package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ashlar/installer"
	"ashlar/installer/ui"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// installerCommands put a system on a disk.
func installerCommands(app *App) []*cobra.Command {
	group := &cobra.Command{
		Use: "installer", Short: "Install Ashlar on a disk, unattended",
		Long: `Install Ashlar on a disk, as an answer file says.

An answer file is YAML:

  version: 1
  erase: true                     # without it a disk that holds data is refused
  system: {hostname: node1}
  packages: [linux-virt, ashlar-loader, minimal-init, busybox, pkgtool]
  storage:
    disk: {serial: "S4XX*", size: ">=20G"}
    layout: luks+lvm              # or plain, raid1, luks, lvm, raid1+luks, ...
    filesystem: xfs               # or ext4, btrfs
    swap: 2G

Packages come from the repositories in /etc/pkgtool. Nothing is written before
the plan is complete, the packages are here and verified, and you agreed.`,
		Example: "  pkgtool installer plan answers.yaml\n  pkgtool installer run answers.yaml --yes",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(installerDisks(app), installerSchema(app), installerValidate(app), installerPlan(app), installerDryRun(app), installerRun(app),
		installerAsk(app), installerAuto(app))
	return []*cobra.Command{group}
}

func probeDisks() ([]installer.Disk, error) {
	return installer.Probe("/sys", "/dev", "/proc/self/mounts")
}

func installerDisks(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "disks", Short: "List the disks that an answer file can name", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			disks, err := probeDisks()
			if err != nil {
				return err
			}
			return app.Print(disks, func(w io.Writer) {
				for _, d := range disks {
					state := "blank"
					switch {
					case d.Mounted != "":
						state = "in use: " + d.Mounted
					case d.Holds != "":
						state = "holds " + d.Holds
					}
					fmt.Fprintf(w, "%-14s %10s  model %q  serial %q  %s\n", d.Path, installer.FormatSize(d.Size), d.Model, d.Serial, printable(state))
					for _, id := range d.IDs {
						fmt.Fprintf(w, "%14s id %q\n", "", id)
					}
				}
			})
		},
	}
}

func installerSchema(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the answer file", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := installer.Schema()
			if err != nil {
				return err
			}
			_, err = app.Out.Write(schema)
			return err
		},
	}
}

func installerValidate(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE", Short: "Check an answer file without looking at this machine", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := installer.ReadAnswers(args[0]); err != nil {
				return err
			}
			return app.Print(map[string]any{"valid": true}, func(w io.Writer) { fmt.Fprintf(w, "%s is valid\n", args[0]) })
		},
	}
}

// makePlan reads the answers and lays them out on this machine.
func makePlan(file string) (*installer.Plan, error) {
	answers, err := installer.ReadAnswers(file)
	if err != nil {
		return nil, err
	}
	disks, err := probeDisks()
	if err != nil {
		return nil, err
	}
	chosen, err := installer.Select(answers, disks)
	if err != nil {
		return nil, err
	}
	plan, err := installer.MakePlan(answers, chosen...)
	if err != nil {
		return nil, err
	}
	return plan, installer.CheckFirmware(plan)
}

func showInstallation(w io.Writer, plan *installer.Plan) {
	for _, line := range plan.Describe() {
		fmt.Fprintln(w, printable(line))
	}
}

func installerPlan(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "plan FILE", Short: "Show what would be done to which disk", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			plan, err := makePlan(args[0])
			if err != nil {
				return err
			}
			return app.Print(plan, func(w io.Writer) { showInstallation(w, plan) })
		},
	}
}

func installerDryRun(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "dry-run FILE", Short: "Do all of an installation that touches no disk", Args: cobra.ExactArgs(1),
		Long: `Reads the answer file, finds the disks, makes the plan, resolves the packages,
fetches and verifies them, and throws them away. What succeeds here fails later
only if a disk does. It needs no root, but space for the packages in $TMPDIR.`,
		Example: "  pkgtool installer dry-run answers.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := makePlan(args[0])
			if err != nil {
				return err
			}
			prepared, err := installer.Prepare(cmd.Context(), app.Root, plan, os.Args, app.changeProgress())
			if err != nil {
				return fmt.Errorf("fetch the packages: %w", err)
			}
			defer prepared.Close()
			app.clearLine()
			result := struct {
				*installer.Plan
				Fetched int `json:"fetched"`
			}{plan, len(prepared.Packages)}
			return app.Print(result, func(w io.Writer) {
				showInstallation(w, plan)
				fmt.Fprintf(w, "%d packages were fetched and verified; nothing was written to a disk\n", len(prepared.Packages))
			})
		},
	}
}

// finish does what follows an installation.
func (a *App) finish(ctx context.Context, action string) error {
	if action == "" || action == "stay" {
		return nil
	}
	a.Say("%s", action)
	return exec.CommandContext(ctx, action).Run() // its name is one of installer.Finishes
}

func installerRun(app *App) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "run FILE", Short: "Install, after showing the plan and asking", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := makePlan(args[0])
			if err != nil {
				return err
			}
			showInstallation(app.messages(), plan)
			if !yes {
				if err := app.confirmErase(strings.Join(plan.Paths(), " ")); err != nil {
					return err
				}
			}
			passphrase, err := app.passphrase(plan)
			if err != nil {
				return err
			}
			progress := app.changeProgress()
			prepared, err := installer.Prepare(cmd.Context(), app.Root, plan, os.Args, progress)
			if err != nil {
				return fmt.Errorf("fetch the packages, nothing was written to a disk: %w", err)
			}
			defer prepared.Close()
			options := installer.Options{
				Packages: prepared.Packages, Tools: prepared.Tools, Passphrase: passphrase, Settings: filepath.Join(app.Root, "etc/pkgtool"), Command: os.Args, LogFile: installer.LogFile,
				Progress: func(step string) {
					app.clearLine()
					app.Say("%s", step)
				},
			}
			if progress != nil {
				options.Copied = func(done, total int64) { progress("write", done, total) }
			}
			if err := installer.Apply(cmd.Context(), plan, options); err != nil {
				return err
			}
			if err := app.Print(plan, func(w io.Writer) {
				fmt.Fprintf(w, "installed %d packages on %s; take the medium out and start the machine again\n", len(prepared.Packages), strings.Join(plan.Paths(), " and "))
			}); err != nil {
				return err
			}
			return app.finish(cmd.Context(), plan.Finish)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// passphrase returns what will open the encrypted root, if there is one: from the
// answers, or typed twice.
func (a *App) passphrase(plan *installer.Plan) ([]byte, error) {
	secret, err := plan.LUKS.Secret()
	if err != nil || len(secret) > 0 || !plan.Has("luks") || plan.LUKS.TPM2 != nil {
		return secret, err
	}
	terminal, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil, fault.Mark(errors.New("the root will be encrypted, and there is nobody to ask for a passphrase; nothing was written"), fault.Usage,
			"give storage.luks.passphrase or passphrase_file in the answer file, or tpm2: {} to leave it to the machine's TPM")
	}
	show, err := ui.HideInput(terminal)
	if err != nil {
		return nil, err
	}
	defer show()
	ask := func(question string) ([]byte, error) {
		fmt.Fprint(a.Err, question)
		line, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(a.Err)
		return line, err
	}
	first, err := ask("passphrase for the encrypted disk: ")
	if err != nil {
		return nil, err
	}
	second, err := ask("once more: ")
	if err != nil {
		return nil, err
	}
	if len(first) == 0 || !bytes.Equal(first, second) {
		return nil, fault.Errorf(fault.Usage, "the passphrase is empty, or the two are not the same; nothing was written")
	}
	return first, nil
}

// confirmErase asks a person to type the disks' names: a yes is typed too easily.
func (a *App) confirmErase(disk string) error {
	fmt.Fprintf(a.Err, "type %s to go on: ", disk)
	answer, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(answer) != disk {
		return fault.Mark(fmt.Errorf("the answer was not %s; nothing was written", disk), fault.Failed, "without a person, use --yes")
	}
	return nil
}
