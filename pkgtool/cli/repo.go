package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

// repoCommands are the publisher's side of package repositories.
func repoCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "repo",
		Short: "Publish packages as a signed repository, and serve it",
		Long: `A repository is a folder of static files that any web server can hold. Its
role keys lie beside the signing keys (pkgtool key), never in the folder.`,
		Example: `  pkgtool repo init build/repo --name example
  pkgtool repo add build/repo build/packages/*.ashlar
  pkgtool repo publish build/repo
  pkgtool repo serve build/repo --listen :8080
  pkgtool repo trust build/repo > root.json     # what clients pin`,
	}
	cmd.AddCommand(repoInit(app), repoAllow(app), repoAdd(app), repoPublish(app), repoList(app), repoCheck(app), repoServe(app), repoTrust(app), repoAdvisory(app),
		repoKey(app), repoSign(app), repoResign(app), repoMirror(app))
	return []*cobra.Command{cmd}
}

func repoOptions() repo.Options { return repo.Options{Keys: signing.DefaultDir()} }

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

func repoAdd(app *App) *cobra.Command {
	var channel string
	var publish bool
	cmd := &cobra.Command{
		Use: "add DIR PACKAGE...", Short: "Verify packages and take them in; clients see them after publish", Args: cobra.MinimumNArgs(2),
		Example: `  pkgtool repo add build/repo build/packages/*.ashlar
  pkgtool repo add --publish build/repo zlib-1.2.13-1.x86_64.ashlar`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			added, err := r.Add(cmd.Context(), channel, args[1:]...)
			if err != nil {
				return err
			}
			result := map[string]any{"schema": 1, "packages": added}
			if publish {
				p, err := r.Publish(cmd.Context())
				if err != nil {
					return err
				}
				app.warnAll(p.Warnings)
				result["publication"] = p
			}
			return app.Print(result, func(w io.Writer) {
				for _, a := range added {
					switch {
					case a.Unchanged:
						fmt.Fprintf(w, "%s is already in %s\n", a.ID(), channel)
					case a.Replaced != "":
						fmt.Fprintf(w, "%s replaces another build in %s\n", a.ID(), channel)
					default:
						fmt.Fprintf(w, "%s added to %s\n", a.ID(), channel)
					}
				}
			})
		},
	}
	cmd.Flags().StringVar(&channel, "channel", repo.DefaultChannel, "channel to add to")
	cmd.Flags().BoolVar(&publish, "publish", false, "publish afterwards")
	return cmd
}

func (a *App) warnAll(warnings []string) {
	for _, w := range warnings {
		a.Say("warning: %s", w)
	}
}

func repoPublish(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "publish DIR", Short: "Make everything added visible at once, and renew signatures", Args: cobra.ExactArgs(1),
		Long: `Makes everything added visible to clients, all at once. Signatures that are past
half of their life are renewed, so a daily publish keeps a repository fresh; if
there is nothing to do, nothing is written.`,
		Example: `  pkgtool repo publish build/repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			p, err := r.Publish(cmd.Context())
			if err != nil {
				return err
			}
			app.warnAll(p.Warnings)
			return app.Print(map[string]any{"schema": 1, "publication": p}, func(w io.Writer) {
				what := "published"
				if !p.Changed {
					what = "nothing to publish"
				}
				fmt.Fprintf(w, "%s: version %d, %d packages, good until %s\n", what, p.Version, p.Packages, p.Expires.Format(time.RFC3339))
			})
		},
	}
}

func repoList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list DIR", Short: "List the packages of a repository", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			list, err := r.List()
			if err != nil {
				return err
			}
			if list == nil {
				list = []repo.Listed{}
			}
			return app.Print(map[string]any{"schema": 1, "packages": list}, func(w io.Writer) {
				for _, p := range list {
					mark := ""
					if !p.Published {
						mark = "  (not published yet)"
					}
					fmt.Fprintf(w, "%-10s %s%s\n", p.Channel, p.ID(), mark)
				}
			})
		},
	}
}

func repoCheck(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "check DIR", Short: "Verify a whole repository, every package included, and list all that is wrong", Args: cobra.ExactArgs(1),
		Long: `Verifies a repository, or a copy of one, as a client with an empty cache would:
signatures, expiry, hashes, indexes, and every package completely. Needs no key.
Exits with 4 if anything is wrong.`,
		Example: `  pkgtool repo check /srv/mirror/example`,
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := repo.Check(cmd.Context(), args[0], time.Now())
			if err != nil {
				return err
			}
			err = app.Print(map[string]any{"schema": 1, "packages": report.Packages, "bytes": report.Bytes, "problems": report.Problems}, func(w io.Writer) {
				for _, p := range report.Problems {
					fmt.Fprintln(w, p)
				}
				if len(report.Problems) == 0 {
					fmt.Fprintf(w, "good: %d packages, %d bytes\n", report.Packages, report.Bytes)
				}
			})
			if err == nil && len(report.Problems) > 0 {
				err = fault.Errorf(fault.Security, "%s has %d problems", args[0], len(report.Problems))
			}
			return err
		},
	}
}

func repoTrust(app *App) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "trust DIR", Short: "Print the root of trust that clients of a repository pin", Args: cobra.ExactArgs(1),
		Long: `Prints the repository's root metadata. A system that has it as
/etc/pkgtool/trust/NAME/root.json trusts the repository that it defines as NAME
in /etc/pkgtool/repositories.d. Bring it there by a way that you trust; the
sha256 on stderr lets two people compare what they have.`,
		Example: `  pkgtool repo trust build/repo > root.json
  pkgtool repo trust build/repo -o /etc/pkgtool/trust/example/root.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			root, err := repo.ReadRoot(args[0])
			if err != nil {
				return err
			}
			sum := sha256.Sum256(root.Data)
			fingerprint := hex.EncodeToString(sum[:])
			app.Say("root version %d, expires %s, sha256 %s", root.Version, root.Expires.Format(time.DateOnly), fingerprint)
			if out != "" {
				if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
					return err
				}
				if err := durable.WriteFile(out, root.Data, 0o644); err != nil {
					return err
				}
			}
			result := map[string]any{"schema": 1, "version": root.Version, "expires": root.Expires, "keys": root.Keys, "sha256": fingerprint, "root": string(root.Data)}
			return app.Print(result, func(w io.Writer) {
				if out == "" {
					w.Write(root.Data)
				}
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write it to this file")
	return cmd
}
