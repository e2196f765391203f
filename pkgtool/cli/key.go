package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

// keyCommands manage the private keys that sign packages.
func keyCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make and move the keys that sign packages",
		Long: `Keys are OpenPGP keys (Ed25519), which gpg reads too. Private keys lie in
$ASHLAR_KEYS, else in ashlar/keys of your configuration folder, one file each,
readable by you alone. The default key signs where none is named.`,
	}
	cmd.AddCommand(keyGenerate(app), keyList(app), keyExport(app), keyImport(app), keyDefault(app), keySecureBoot(app))
	return []*cobra.Command{cmd}
}

// keyInfo is a key in --json output.
type keyInfo struct {
	Fingerprint string    `json:"fingerprint"`
	Created     time.Time `json:"created"`
	UserIDs     []string  `json:"user_ids"`
	Default     bool      `json:"default"`
}

func openKeys() (*signing.Store, error) { return signing.OpenStore(signing.DefaultDir()) }

func describeKey(store *signing.Store, key *signing.PrivateKey) keyInfo {
	info := keyInfo{Fingerprint: key.Fingerprint(), Created: key.Public().Created(), UserIDs: key.Public().UserIDs()}
	if d, err := store.Default(); err == nil {
		info.Default = d.Fingerprint() == info.Fingerprint
	}
	return info
}

func (a *App) printKey(store *signing.Store, key *signing.PrivateKey) error {
	return a.Print(describeKey(store, key), func(w io.Writer) { fmt.Fprintln(w, key.Fingerprint()) })
}

func keyGenerate(app *App) *cobra.Command {
	var name, email string
	cmd := &cobra.Command{
		Use: "generate", Short: "Make a key and print its fingerprint", Args: cobra.NoArgs,
		Example: `  pkgtool key generate --name "Example packages" --email packages@example.org
  pkgtool key export > packager.asc      # give this to whoever shall trust your packages`,
		RunE: func(*cobra.Command, []string) error {
			store, err := openKeys()
			if err != nil {
				return err
			}
			key, err := store.Generate(name, email, time.Now())
			if err != nil {
				return err
			}
			app.Say("kept in %s; keep a copy in a safe place: pkgtool key export --private", store.Dir())
			return app.printKey(store, key)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "whose key it is")
	cmd.Flags().StringVar(&email, "email", "", "mail address in the key")
	cmd.MarkFlagRequired("name")
	return cmd
}

func keyList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the private keys", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			store, err := openKeys()
			if err != nil {
				return err
			}
			keys, err := store.List()
			if err != nil {
				return err
			}
			list := []keyInfo{}
			for _, key := range keys {
				list = append(list, describeKey(store, key))
			}
			return app.Print(map[string]any{"schema": 1, "keys": list}, func(w io.Writer) {
				for _, k := range list {
					mark := ""
					if k.Default {
						mark = "  (default)"
					}
					fmt.Fprintf(w, "%s  %s  %s%s\n", k.Fingerprint, k.Created.Format(time.DateOnly), printable(strings.Join(k.UserIDs, ", ")), mark)
				}
			})
		},
	}
}

func keyExport(app *App) *cobra.Command {
	var private bool
	cmd := &cobra.Command{
		Use: "export [FINGERPRINT]", Short: "Print a public key, armored; the default key's if none is named", Args: cobra.MaximumNArgs(1),
		Example: `  pkgtool key export > packager.asc
  pkgtool key export --private 0123ABCD... > backup.asc`,
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := openKeys()
			if err != nil {
				return err
			}
			key, err := findKey(store, strings.Join(args, ""))
			if err != nil {
				return err
			}
			armored := key.Public().Armored()
			if private {
				if armored, err = key.ArmoredPrivate(); err != nil {
					return err
				}
				app.Say("this is the private key: whoever has it can sign as you")
			}
			return app.Print(map[string]any{"fingerprint": key.Fingerprint(), "armored": string(armored)}, func(w io.Writer) { w.Write(armored) })
		},
	}
	cmd.Flags().BoolVar(&private, "private", false, "print the private key")
	return cmd
}

func findKey(store *signing.Store, fingerprint string) (*signing.PrivateKey, error) {
	if fingerprint == "" {
		return store.Default()
	}
	return store.Get(fingerprint)
}

func keyImport(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Take in a private key without passphrase (- reads stdin)", Args: cobra.ExactArgs(1),
		Example: `  gpg --export-secret-keys --armor FINGERPRINT | pkgtool key import -`,
		RunE: func(_ *cobra.Command, args []string) error {
			in := app.In
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			data, err := io.ReadAll(io.LimitReader(in, 2<<20))
			if err != nil {
				return err
			}
			store, err := openKeys()
			if err != nil {
				return err
			}
			key, err := store.Import(data)
			if err != nil {
				return fault.Mark(fmt.Errorf("import %s: %w", args[0], err), fault.ClassOf(err), "")
			}
			return app.printKey(store, key)
		},
	}
}

func keyDefault(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "default [FINGERPRINT]", Short: "Show or choose the key that signs where none is named", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := openKeys()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if err := store.SetDefault(args[0]); err != nil {
					return err
				}
			}
			key, err := store.Default()
			if err != nil {
				return err
			}
			return app.printKey(store, key)
		},
	}
}
