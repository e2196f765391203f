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

	"ashlar/iso"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/loader"
	"ashlar/pkgtool/system"
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

// secureBootCommands look after a machine's Secure Boot.
func secureBootCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "secureboot",
		Short: "See whether this machine starts only what its owner signed, and make it so",
		Long: `Under Secure Boot the firmware starts only boot loaders signed with a key that it
knows. pkgtool key secureboot makes that key; images with secure_boot: true are
signed with it. An installed system writes its boot menu itself, and signs what it
starts with a key of its own.`,
	}
	cmd.AddCommand(secureBootStatus(app), secureBootEnroll(app), secureBootSign(app), secureBootUnsign(app))
	return []*cobra.Command{cmd}
}

func secureBootStatus(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how Secure Boot stands on this machine", Args: cobra.NoArgs,
		Long: `Show how Secure Boot stands: on, off, or in setup mode, in which the firmware takes
anybody's keys. root sees whether the installed system signs what it starts, too.`,
		Example: "  pkgtool secureboot status --json",
		RunE: func(*cobra.Command, []string) error {
			var state struct {
				secureboot.State
				Signs bool `json:"signs"` // the installed system's boot loader asks for signatures
			}
			var err error
			if state.State, err = secureboot.ReadState(secureboot.VariablesDir); err != nil {
				return err
			}
			if state.Signs, err = app.signs(); err != nil {
				return err
			}
			return app.Print(state, func(w io.Writer) {
				if state.Signs {
					defer fmt.Fprintln(w, "this system signs what it starts with the key in /"+loader.KeysDir)
				}
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
without DIR those of the medium that this system was started from, and on an
installed system the key that it signs with (see pkgtool secureboot sign), with the
certificates in /etc/ashlar/secureboot/trusted beside it. The firmware must
be in setup mode: delete its keys in its setup. From the next start on the machine
starts only what the owner of these keys signed; other systems on it do not start
any more. In the firmware's setup it can be undone.`,
		Example: `  pkgtool secureboot enroll && reboot
  pkgtool secureboot enroll keys`,
		RunE: func(_ *cobra.Command, args []string) error {
			dir := iso.OwnerKeys
			if len(args) == 1 {
				dir = args[0]
			} else if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
				return app.enrollOwn()
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

// signs tells whether the installed system's boot loader asks for signatures;
// whoever is not root is not told.
func (a *App) signs() (signs bool, err error) {
	if key, err := loader.MachineKey(a.Root); key == nil || os.Geteuid() != 0 {
		if errors.Is(err, os.ErrPermission) {
			err = nil
		}
		return false, err
	}
	err = a.withLoader(func(_ *system.System, l *loader.Loader) error {
		signs, err = l.Signed()
		return err
	})
	return signs, err
}

// enrollOwn gives the firmware the key of the installed system.
func (a *App) enrollOwn() error {
	signs, err := a.signs()
	if err != nil {
		return err
	}
	if !signs {
		return fault.Errorf(fault.Usage, "this system was not started from a medium with keys, and does not sign what it starts; name the folder with db.auth, KEK.auth and PK.auth, or run: pkgtool secureboot sign")
	}
	key, err := loader.MachineKey(a.Root)
	if err != nil {
		return err
	}
	trusted, err := loader.Trusted(a.Root)
	if err != nil {
		return err
	}
	if err := secureboot.EnrollKey(secureboot.VariablesDir, key, trusted); err != nil {
		return err
	}
	return a.Print(map[string]any{"schema": 1, "enrolled": "/" + loader.KeysDir, "trusted": len(trusted)}, func(w io.Writer) {
		fmt.Fprintf(w, "enrolled this system's key and %d certificates; Secure Boot is on from the next start\n", len(trusted))
	})
}

func secureBootSign(app *App) *cobra.Command {
	var trust []string
	cmd := &cobra.Command{
		Use: "sign", Short: "Let this system sign what it starts, with a key of its own", Args: cobra.NoArgs,
		Long: `Make a key in /etc/ashlar/secureboot, if there is none, replace the boot loader by one
that reads nothing without a signature of that key, and sign the boot menu, kernels
and initial RAM file systems. From now on every transaction signs what it adds. The
firmware comes to know the key with pkgtool secureboot enroll.

Whoever reads the disk has the key: encrypt the disk. --trust keeps certificates (DER)
that the firmware shall trust besides: keys/owner.der of a medium that shall still
start here, and keys/modules.der, with which its kernel modules are signed. Without
the latter a kernel with modules finds no disk under Secure Boot; an installation with
boot.secure_boot takes both from its medium.`,
		Example: `  pkgtool secureboot sign --trust owner.der --trust modules.der
  pkgtool secureboot enroll && reboot`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var trusted [][]byte
			for _, name := range trust {
				der, err := os.ReadFile(name)
				if err == nil {
					_, err = secureboot.CertificateName(der)
				}
				if err != nil {
					return fault.Mark(fmt.Errorf("%s: %w", name, err), fault.Usage, "name a certificate in DER, as pkgtool key secureboot --out writes it")
				}
				trusted = append(trusted, der)
			}
			return app.withLoader(func(_ *system.System, l *loader.Loader) error {
				if _, err := loader.MakeMachineKey(app.Root, trusted); err != nil {
					return err
				}
				if err := l.Sign(cmd.Context()); err != nil {
					return err
				}
				return app.Print(map[string]any{"schema": 1, "key": "/" + loader.KeysDir}, func(w io.Writer) {
					fmt.Fprintf(w, "the boot loader starts only what bears a signature of the key in /%s\n", loader.KeysDir)
				})
			})
		},
	}
	cmd.Flags().StringArrayVar(&trust, "trust", nil, "certificate (DER) that the firmware shall trust, too; may be given several times")
	return cmd
}

func secureBootUnsign(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "unsign", Short: "Go back to a boot loader that starts anything", Args: cobra.NoArgs,
		Long: `Replace the boot loader by one that asks for no signatures. The key stays. Secure Boot
must be off: the firmware would not start the system any more.`,
		Example: "  pkgtool secureboot unsign",
		RunE: func(*cobra.Command, []string) error {
			state, err := secureboot.ReadState(secureboot.VariablesDir)
			if err != nil {
				return err
			}
			if state.Enabled {
				return fault.Errorf(fault.Usage, "Secure Boot is on: the firmware would not start the system any more; switch it off in the firmware's setup first")
			}
			return app.withLoader(func(_ *system.System, l *loader.Loader) error {
				if err := l.Unsign(); err != nil {
					return err
				}
				return app.Print(map[string]any{"schema": 1}, func(w io.Writer) {
					fmt.Fprintln(w, "the boot loader starts what is there, signed or not")
				})
			})
		},
	}
}
