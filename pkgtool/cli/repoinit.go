package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

func repoInit(app *App) *cobra.Command {
	var s repo.Settings
	var packagers []string
	cmd := &cobra.Command{
		Use: "init DIR", Short: "Make DIR a repository, and its role keys where there are none", Args: cobra.ExactArgs(1),
		Long: `Makes DIR a repository and, under its name, one key for each of the four roles
root, targets, snapshot and timestamp where there are none. Doing it again
changes nothing. It prints which keys to take offline, and pkgtool repo key --help
says what each of them can do.

Packages must be signed by an allowed packager: the keys given, else your
default key. In a repository made with --development another build of the same
version and release takes the place of the first; elsewhere it is refused.`,
		Example: `  pkgtool repo init build/repo --name example --development
  pkgtool repo init /srv/repo --name example --packager alice.asc --packager bob.asc`,
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := readPublicKeys(packagers)
			if err != nil {
				return err
			}
			if len(packagers) == 0 {
				if keys, err = app.ownKey(); err != nil {
					return err
				}
			}
			if s.Name == "" {
				if s.Name, err = nameOfFolder(args[0]); err != nil {
					return err
				}
			}
			s.Packagers = keys
			r, err := repo.Init(cmd.Context(), args[0], s, repoOptions())
			if err != nil {
				return err
			}
			dir := filepath.Join(repoOptions().Keys, "repositories", r.Name())
			return app.Print(map[string]any{"schema": 1, "name": r.Name(), "keys": dir}, func(w io.Writer) {
				fmt.Fprintf(w, "repository %s in %s; its keys are in %s\n", r.Name(), args[0], dir)
				if s.Development {
					return
				}
				fmt.Fprintf(w, adviceOffline, filepath.Join(dir, "root.pem"), filepath.Join(dir, "targets.pem"))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Name, "name", "", "name of the repository and its keys (default: the folder's)")
	f.BoolVar(&s.Development, "development", false, "let another build of the same release replace the first")
	f.StringArrayVar(&packagers, "packager", nil, "file of public keys whose packages are taken (default: your own key)")
	f.IntVar(&s.Lifetimes.Timestamp, "timestamp-days", 0, fmt.Sprintf("clients refuse the repository this many days after it was published last (default %d)", repo.DefaultLifetimes.Timestamp))
	return cmd
}

// nameOfFolder proposes a repository's name.
func nameOfFolder(dir string) (string, error) {
	full, err := filepath.Abs(dir)
	return strings.ToLower(filepath.Base(full)), err
}

// ownKey is the user's default signing key, made on first use.
func (a *App) ownKey() ([]*signing.PublicKey, error) {
	store, err := openKeys()
	if err != nil {
		return nil, err
	}
	key, made, err := store.EnsureDefault()
	if err != nil {
		return nil, err
	}
	if made {
		a.Say("made a development key, %s, in %s", key.Fingerprint(), store.Dir())
	}
	return []*signing.PublicKey{key.Public()}, nil
}

const maxKeyFile = 1 << 20

func readPublicKeys(files []string) ([]*signing.PublicKey, error) {
	var keys []*signing.PublicKey
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
		f.Close()
		if err != nil {
			return nil, err
		}
		kr, err := signing.ReadKeyring(data)
		if err != nil {
			return nil, fault.Mark(fmt.Errorf("%s: %w", file, err), fault.Usage, "a key file is what pkgtool key export or gpg --export prints")
		}
		keys = append(keys, kr.Keys()...)
	}
	return keys, nil
}

func repoAllow(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "allow DIR KEYFILE...", Short: "Take packages signed by further packagers", Args: cobra.MinimumNArgs(2),
		Example: `  pkgtool repo allow /srv/repo alice.asc && pkgtool repo publish /srv/repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			keys, err := readPublicKeys(args[1:])
			if err != nil {
				return err
			}
			if err := r.Allow(cmd.Context(), keys...); err != nil {
				return err
			}
			var prints []string
			for _, k := range keys {
				prints = append(prints, k.Fingerprint())
			}
			return app.Print(map[string]any{"schema": 1, "allowed": prints}, func(w io.Writer) {
				fmt.Fprintln(w, strings.Join(prints, "\n"))
			})
		},
	}
}
