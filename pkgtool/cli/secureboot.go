package cli

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/signing"
	"ashlar/signing/secureboot"

	"github.com/spf13/cobra"
)

// secureBootKey is what `pkgtool key secureboot --json` prints.
type secureBootKey struct {
	Schema int      `json:"schema"` // 1
	File   string   `json:"file"`   // the certificate
	SHA256 string   `json:"sha256"` // of the certificate in DER
	Made   bool     `json:"made"`   // just now
	Wrote  []string `json:"wrote,omitempty"`
}

func keySecureBoot(app *App) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "secureboot",
		Short: "Show the key of Secure Boot, and write what machines enroll",
		Long: `Show where the certificate is of the key that images with secure_boot: true are
signed with, and its SHA-256. Key (RSA, 2048 bits) and certificate are made on first
use and lie with the packager's key ($ASHLAR_KEYS, else ~/.config/ashlar/keys).

With --out it writes what makes a machine yours: db.auth, KEK.auth and PK.auth for
pkgtool secureboot enroll and for firmware that reads them, the same as signature
lists (.esl), and the certificates owner.der and modules.der for firmware in whose
menus they are chosen by hand. db holds both certificates: of what starts, and of
kernel modules.`,
		Example: `  pkgtool key secureboot --out keys
  pkgtool secureboot enroll keys          # on a machine in setup mode`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, made, err := secureboot.Open(signing.DefaultDir())
			if err != nil {
				return err
			}
			der := key.Certificate()
			result := secureBootKey{Schema: 1, File: filepath.Join(signing.DefaultDir(), secureboot.CertificateFile), SHA256: fmt.Sprintf("%x", sha256.Sum256(der)), Made: made}
			if out != "" {
				if result.Wrote, err = writeOwner(app, key, out); err != nil {
					return err
				}
			}
			return app.Print(result, func(w io.Writer) {
				fmt.Fprintf(w, "%s  %s\n", result.SHA256, result.File)
				for _, name := range result.Wrote {
					fmt.Fprintf(w, "wrote  %s\n", name)
				}
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write what machines enroll into `DIR`")
	return cmd
}

// writeOwner writes the variables and certificates of the key into dir.
func writeOwner(app *App, key *secureboot.Key, dir string) ([]string, error) {
	modules, err := moduleKey(app)
	if err != nil {
		return nil, err
	}
	variables, err := key.Variables(modules.Certificate())
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.Mark(err, fault.Failed, "name a folder that can be made with --out")
	}
	files := map[string][]byte{"owner.der": key.Certificate(), "modules.der": modules.Certificate()}
	for _, v := range variables {
		files[v.Name+".auth"], files[v.Name+".esl"] = v.Auth, v.List
	}
	wrote := []string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := durable.WriteFile(path, files[name], 0o644); err != nil {
			return nil, err
		}
		wrote = append(wrote, path)
	}
	return wrote, nil
}

// mediumKeys is where a started medium has its owner's variables.
const mediumKeys = "/run/ashlar/medium/about/secureboot"

// secureBootCommands look after a machine's Secure Boot.
func secureBootCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "secureboot",
		Short: "See whether this machine starts only what its owner signed, and make it so",
		Long: `Under Secure Boot the firmware starts only boot loaders signed with a key that it
knows. pkgtool key secureboot makes that key; images with secure_boot: true are
signed with it.`,
	}
	cmd.AddCommand(secureBootStatus(app), secureBootEnroll(app))
	return []*cobra.Command{cmd}
}

func secureBootStatus(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how Secure Boot stands on this machine", Args: cobra.NoArgs,
		Long: `Show how Secure Boot stands: on, off, or in setup mode, in which the firmware takes
anybody's keys.`,
		Example: "  pkgtool secureboot status --json",
		RunE: func(*cobra.Command, []string) error {
			state, err := secureboot.ReadState(secureboot.VariablesDir)
			if err != nil {
				return err
			}
			return app.Print(state, func(w io.Writer) {
				switch {
				case !state.UEFI:
					fmt.Fprintln(w, "not started by UEFI: there is no Secure Boot")
				case state.Enabled:
					fmt.Fprintln(w, "on: the firmware checked what it started")
				case state.SetupMode:
					fmt.Fprintln(w, "off, in setup mode: pkgtool secureboot enroll makes the machine yours")
				default:
					fmt.Fprintln(w, "off: the firmware has keys; switch it on in the firmware's setup, or delete its keys there to enroll your own")
				}
			})
		},
	}
}

func secureBootEnroll(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "enroll [DIR]", Short: "Give the firmware its owner's keys", Args: cobra.MaximumNArgs(1),
		Long: `Write db, KEK and PK into the firmware's variables, from the .auth files in DIR;
without DIR those of the medium that this system was started from. The firmware must
be in setup mode: delete its keys in its setup. From the next start on the machine
starts only what the owner of these keys signed; other systems on it do not start
any more. In the firmware's setup it can be undone.`,
		Example: `  pkgtool secureboot enroll && reboot
  pkgtool secureboot enroll keys`,
		RunE: func(_ *cobra.Command, args []string) error {
			dir := mediumKeys
			if len(args) == 1 {
				dir = args[0]
			} else if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
				return fault.Errorf(fault.Usage, "this system was not started from a medium with keys; name the folder with db.auth, KEK.auth and PK.auth")
			}
			if err := secureboot.Enroll(secureboot.VariablesDir, dir); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "enrolled": dir}, func(w io.Writer) {
				fmt.Fprintf(w, "enrolled the keys in %s; Secure Boot is on from the next start\n", dir)
			})
		},
	}
}
