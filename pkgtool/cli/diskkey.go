package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/installer/ui"
	"ashlar/pkgtool/diskkey"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/loader"
	"ashlar/pkgtool/system"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// diskkeyCommands let a TPM open encrypted disks.
func diskkeyCommands(app *App) []*cobra.Command {
	group := &cobra.Command{
		Use: "diskkey", Short: "Let the TPM open encrypted disks",
		Long: `Let the machine's TPM 2.0 open encrypted disks, so that nothing is typed at a start.

A random key is added to the volume and sealed: the TPM gives it out only while its
registers (PCRs) hold what they held at the enrolment. PCR 7 says how Secure Boot
stands, and with whose keys. When the TPM refuses, the machine asks for the
passphrase as before; enroll again once the change is known to be right.

Without Secure Boot the TPM keeps a stolen disk closed, but not a stolen machine.

Without DEVICE the commands mean the encrypted device that the machine starts from.`,
		Example: "  pkgtool diskkey status\n  pkgtool diskkey enroll\n  pkgtool diskkey enroll --pcrs 0,7 /dev/sdb1",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(diskkeyStatus(app), diskkeyEnroll(app), diskkeyWipe(app))
	return []*cobra.Command{group}
}

// diskkeyReport is how a volume stands.
type diskkeyReport struct {
	Schema int         `json:"schema"`
	Device string      `json:"device"`
	TPM    bool        `json:"tpm"` // the machine has one
	Keys   []sealedKey `json:"keys"`
}

type sealedKey struct {
	Token int    `json:"token"`
	PCRs  []int  `json:"pcrs"`
	Opens bool   `json:"opens"`
	Why   string `json:"why,omitempty"` // it does not open now
}

func diskkeyStatus(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "status [DEVICE]", Short: "Show the keys that a TPM has sealed, and whether they open the disk now", Args: cobra.MaximumNArgs(1),
		Example: "  pkgtool diskkey status\n  pkgtool diskkey status --json | jq .keys",
		RunE: func(cmd *cobra.Command, args []string) error {
			volume, err := app.encryptedVolume(args)
			if err != nil {
				return err
			}
			tokens, problems, err := volume.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			report := diskkeyReport{Schema: 1, Device: volume.Device}
			tpm, missing := diskkey.Open()
			if missing == nil {
				report.TPM = true
				defer tpm.Close()
			}
			for _, t := range tokens {
				err := missing
				if err == nil {
					var passphrase []byte
					passphrase, err = diskkey.Unseal(tpm, t)
					clear(passphrase)
				}
				key := sealedKey{Token: t.ID, PCRs: t.PCRs, Opens: err == nil}
				if err != nil {
					key.Why = err.Error()
				}
				report.Keys = append(report.Keys, key)
			}
			for _, problem := range problems {
				app.Say("%s", printable(problem.Error()))
			}
			return app.Print(report, func(w io.Writer) {
				if len(report.Keys) == 0 {
					fmt.Fprintf(w, "%s: no key that a TPM has sealed\n", report.Device)
				}
				for _, key := range report.Keys {
					state := "opens the disk"
					if !key.Opens {
						state = key.Why
					}
					fmt.Fprintf(w, "%s: key %d, PCR %s: %s\n", report.Device, key.Token, diskkey.FormatPCRs(key.PCRs), printable(state))
				}
			})
		},
	}
}

func diskkeyEnroll(app *App) *cobra.Command {
	var pcrs []int
	var file string
	cmd := &cobra.Command{
		Use: "enroll [DEVICE]", Short: "Seal a new key in the TPM, in place of those sealed before", Args: cobra.MaximumNArgs(1),
		Long: `Seal a new key in the TPM, in place of those sealed before. The volume's passphrase is
asked for, and stays. The boot menu's entry of the current generation is made anew,
so that the next start tries the TPM first.`,
		Example: "  pkgtool diskkey enroll\n  pkgtool diskkey enroll --passphrase-file /root/disk-recovery-key",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := diskkey.CheckPCRs(pcrs); err != nil {
				return err
			}
			volume, err := app.encryptedVolume(args)
			if err != nil {
				return err
			}
			tpm, err := diskkey.Open()
			if err != nil {
				return err
			}
			defer tpm.Close()
			passphrase, err := app.volumePassphrase(file, volume.Device)
			if err != nil {
				return err
			}
			defer clear(passphrase)
			token, err := volume.Enroll(cmd.Context(), tpm, passphrase, pcrs)
			if err != nil {
				return err
			}
			if err := app.tryTPM(cmd.Context(), true, args); err != nil {
				return fmt.Errorf("the key is sealed, but the next start does not try it: %w", err)
			}
			return app.Print(map[string]any{"schema": 1, "device": volume.Device, "token": token.ID, "pcrs": token.PCRs}, func(w io.Writer) {
				fmt.Fprintf(w, "the TPM opens %s while PCR %s stays the same; the passphrase does as before\n", volume.Device, diskkey.FormatPCRs(token.PCRs))
			})
		},
	}
	cmd.Flags().IntSliceVar(&pcrs, "pcrs", diskkey.DefaultPCRs, "registers that must stay the same, 0 to 23")
	cmd.Flags().StringVar(&file, "passphrase-file", "", "file whose first line is the volume's passphrase (default: ask)")
	return cmd
}

func diskkeyWipe(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "wipe [DEVICE]", Short: "Remove the keys that a TPM has sealed; passphrases stay", Args: cobra.MaximumNArgs(1),
		Example: "  pkgtool diskkey wipe",
		RunE: func(cmd *cobra.Command, args []string) error {
			volume, err := app.encryptedVolume(args)
			if err != nil {
				return err
			}
			removed, err := volume.Wipe(cmd.Context())
			if err != nil {
				return err
			}
			if err := app.tryTPM(cmd.Context(), false, args); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "device": volume.Device, "removed": removed}, func(w io.Writer) {
				fmt.Fprintf(w, "removed %d keys from %s\n", removed, volume.Device)
			})
		},
	}
}

// encryptedVolume is the device that is named, or the one that the machine starts
// from.
func (a *App) encryptedVolume(args []string) (diskkey.Volume, error) {
	volume := diskkey.Volume{Cryptsetup: diskkey.Program("cryptsetup")}
	if len(args) == 1 {
		volume.Device = args[0]
		return volume, nil
	}
	words, err := a.kernelWords()
	if err != nil {
		return volume, err
	}
	for _, word := range words {
		if id, ok := strings.CutPrefix(word, "rd.luks.uuid="); ok {
			volume.Device, err = diskkey.FindVolume(strings.ToLower(strings.TrimPrefix(id, "luks-")))
			return volume, err
		}
	}
	return volume, fault.Errorf(fault.Usage, "the system does not start from an encrypted device; name one")
}

// kernelWords are those of the command line of starts to come.
func (a *App) kernelWords() ([]string, error) {
	text, err := os.ReadFile(filepath.Join(a.Root, loader.CmdlinePath))
	return strings.Fields(string(text)), err
}

// tryTPM makes starts from now on try the TPM, or not. A device that was named may
// be any; the machine's own start stays as it is then.
func (a *App) tryTPM(ctx context.Context, on bool, args []string) error {
	if len(args) > 0 {
		return nil
	}
	words, err := a.kernelWords()
	if err != nil || slices.Contains(words, diskkey.KernelParameter) == on {
		return err
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == diskkey.KernelParameter })
	if on {
		words = append(words, diskkey.KernelParameter)
	}
	if err := durable.WriteFile(filepath.Join(a.Root, loader.CmdlinePath), []byte(strings.Join(words, " ")+"\n"), 0o644); err != nil {
		return err
	}
	return a.withLoader(func(_ *system.System, l *loader.Loader) error { return l.Update(ctx) })
}

// volumePassphrase reads the passphrase of a device from a file, or asks for it.
func (a *App) volumePassphrase(file, device string) ([]byte, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		line, _, _ := bytes.Cut(text, []byte("\n"))
		if err == nil && len(line) == 0 {
			err = fault.Errorf(fault.Usage, "the first line of %s is empty", file)
		}
		return line, err
	}
	terminal, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil, fault.Mark(errors.New("there is nobody to ask for the passphrase of "+device), fault.Usage, "name a file that has it: --passphrase-file")
	}
	show, err := ui.HideInput(terminal)
	if err != nil {
		return nil, err
	}
	defer show()
	fmt.Fprintf(a.Err, "passphrase of %s: ", device)
	line, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(a.Err)
	return line, err
}
