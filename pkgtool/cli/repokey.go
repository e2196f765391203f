package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ashlar/repo"

	"github.com/spf13/cobra"
)

// aboutRoleKeys is for people who have never heard of The Update Framework.
const aboutRoleKeys = `A repository has four roles, each with a key of its own. What a key can do, and
so what somebody can do who steals it:

  root       says which keys count. Its thief can replace all others. It signs
             only when keys change, and once a year.       Keep it offline.
  targets    vouches for the lists of packages and for who may sign packages. Its
             thief, together with the next two, can have packages of his own
             installed. It signs when packages are published.
                                                           Keep it offline if you can.
  snapshot   ties the lists together, so that nobody mixes old ones with new.
  timestamp  says every few days what is current. Both must be at hand to publish.
             Their thief can hold clients back at what was published before until
             it expires, and cannot offer a package that you did not.

Keys at hand are the files *.pem in $ASHLAR_KEYS/repositories/NAME (of your
configuration folder without that variable). To take one offline, copy it to two
places that are not this machine, such as two USB sticks in two buildings, check
that the copies can be read, and delete it here. When it is needed, publish says
so and writes a file to carry to it: see pkgtool repo sign --help.`

// adviceOffline is what init says about keys.
const adviceOffline = `Before others depend on it, copy these keys to two places that are not this machine,
and delete them here; publish says when it needs one and how to go on:
  %s  can replace every other key; needed when keys change, and once a year
  %s  vouches for packages; needed when you publish some (keep it here if that is too often)
The keys of snapshot and timestamp must stay. More: pkgtool repo key --help
`

func repoKey(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "key", Short: "List, add, replace and revoke the keys that say what a repository offers",
		Long: aboutRoleKeys + `

A role can have several keys, of which a number that you choose must sign. All
changes take effect with the next publish, together. Clients follow them however
old the state is that they know.`,
		Example: `  pkgtool repo key list /srv/repo
  pkgtool repo key rotate /srv/repo timestamp && pkgtool repo publish /srv/repo`,
	}
	cmd.AddCommand(repoKeyList(app), repoKeyNew(app), repoKeyAdd(app), repoKeyRotate(app), repoKeyRevoke(app), repoKeyThreshold(app), repoKeyCancel(app))
	return cmd
}

func repoKeyList(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "list DIR", Short: "Show each role's keys, which are at hand, and what is about to change", Args: cobra.ExactArgs(1),
		Example: `  pkgtool repo key list /srv/repo`,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			report, err := r.Keys()
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "keys": report}, func(w io.Writer) { printKeys(w, report) })
		},
	}
}

func printKeys(w io.Writer, report *repo.KeyReport) {
	for _, role := range report.Roles {
		expires := "not published yet"
		if !role.Expires.IsZero() {
			expires = "signed until " + role.Expires.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "%-10s %d of %d must sign, %s\n", role.Role, role.Threshold, len(role.Keys), expires)
		for _, key := range role.Keys {
			fmt.Fprintf(w, "  %s  %s\n", key.ID, whereKey(key))
		}
	}
	for _, key := range report.Unused {
		fmt.Fprintf(w, "not in use: %s  %s\n", key.ID, whereKey(key))
	}
	if report.Pending != nil {
		fmt.Fprintln(w, "with the next publish:")
		printKeyChange(w, report.Pending)
	}
}

func whereKey(key repo.KeyInfo) string {
	if key.File == "" {
		return "away"
	}
	return filepath.Base(key.File)
}

func printKeyChange(w io.Writer, change *repo.KeyChange) {
	for _, line := range change.Changes {
		fmt.Fprintf(w, "  %s\n", line)
	}
	if len(change.Needs) > 0 {
		fmt.Fprintf(w, "first it must be signed: carry %s to\n", change.File)
		printNeeds(w, change.Needs)
		fmt.Fprintln(w, "run there `pkgtool repo sign FILE`, and bring it back to its place")
	}
}

func printNeeds(w io.Writer, needs []repo.Need) {
	for _, n := range needs {
		which := n.Role + " keys"
		if n.Which != "" {
			which += " " + n.Which
		}
		fmt.Fprintf(w, "  %d of the %s that have not signed yet:\n", n.Signatures, which)
		for _, id := range n.Keys {
			fmt.Fprintf(w, "    %s\n", printable(id))
		}
	}
}

func repoKeyNew(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "new FILE", Short: "Make a key on a machine of its own: the private half in FILE, the public one in FILE.pub", Args: cobra.ExactArgs(1),
		Long: `Makes an Ed25519 key for a role, on the machine where it is to stay. Bring FILE.pub
to the repository, and run there pkgtool repo key add or rotate with --public.`,
		Example: `  pkgtool repo key new root-2.pem
  pkgtool repo key add /srv/repo root --public root-2.pem.pub`,
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := repo.NewRoleKey()
			if err != nil {
				return err
			}
			if err := key.WritePrivate(args[0]); err != nil {
				return err
			}
			public := args[0] + ".pub"
			if err := key.WritePublic(public); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "id": key.ID, "file": args[0], "public": public}, func(w io.Writer) { fmt.Fprintln(w, key.ID) })
		},
	}
}

// keySource is where a key for a role comes from.
type keySource struct {
	from, public string
	publish      bool
}

func (s *keySource) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.from, "from", "", "take this private key, a PEM file, and keep a copy at hand (default: a new key)")
	cmd.Flags().StringVar(&s.public, "public", "", "take this public key; the private one stays where it is")
	cmd.MarkFlagsMutuallyExclusive("from", "public")
	s.publishFlag(cmd)
}

func (s *keySource) publishFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.publish, "publish", false, "publish afterwards")
}

// read returns the key that was named, or nil for a new one.
func (s *keySource) read() (*repo.RoleKey, error) {
	switch {
	case s.from != "":
		key, err := repo.ReadRoleKey(s.from)
		if err == nil && !key.Private() {
			return nil, usagef("--public", "%s holds only the public half of a key", s.from)
		}
		return key, err
	case s.public != "":
		key, err := repo.ReadRoleKey(s.public)
		if err != nil {
			return nil, err
		}
		return key.PublicHalf(), nil
	}
	return nil, nil
}

// changeKeys does what all changes of keys have in common.
func (a *App) changeKeys(ctx context.Context, dir string, publish bool, change func(*repo.Repository) (*repo.KeyChange, error)) error {
	r, err := repo.Open(dir, repoOptions())
	if err != nil {
		return err
	}
	changed, err := change(r)
	if err != nil {
		return err
	}
	result := map[string]any{"schema": 1, "change": changed}
	if publish {
		p, err := r.Publish(ctx)
		if err != nil {
			return err
		}
		a.warnAll(p.Warnings)
		result["publication"] = p
	}
	return a.Print(result, func(w io.Writer) {
		if changed.Made != "" {
			fmt.Fprintf(w, "new key in %s\n", changed.Made)
		}
		when := "with the next publish:"
		if publish && len(changed.Needs) == 0 {
			when = "published:"
		}
		fmt.Fprintln(w, when)
		printKeyChange(w, changed)
	})
}

func repoKeyAdd(app *App) *cobra.Command {
	var source keySource
	cmd := &cobra.Command{
		Use: "add DIR ROLE", Short: "Give a role a further key", Args: cobra.ExactArgs(2), ValidArgsFunction: completeRole,
		Long: `Gives a role a further key: a new one, or the one named. With more than one root
key, the loss of one is no disaster; with a threshold of two, neither is a theft.`,
		Example: `  pkgtool repo key add /srv/repo root --public alice.pem.pub
  pkgtool repo key add /srv/repo root --public bob.pem.pub
  pkgtool repo key threshold /srv/repo root 2       # of three`,
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := source.read()
			if err != nil {
				return err
			}
			return app.changeKeys(cmd.Context(), args[0], source.publish, func(r *repo.Repository) (*repo.KeyChange, error) {
				return r.AddKey(cmd.Context(), args[1], key)
			})
		},
	}
	source.flags(cmd)
	return cmd
}

func repoKeyRotate(app *App) *cobra.Command {
	var source keySource
	var old string
	cmd := &cobra.Command{
		Use: "rotate DIR ROLE", Short: "Put a new key in the place of a role's old one", Args: cobra.ExactArgs(2), ValidArgsFunction: completeRole,
		Long: `Puts a new key in the place of a role's old one, also of root itself: then old and
new root keys sign. Do it when a key may have been stolen: rotate it (timestamp
and snapshot together), publish, and destroy the old file. Clients that were led
astray with a stolen timestamp or snapshot key recover by themselves.`,
		Example: `  pkgtool repo key rotate /srv/repo timestamp
  pkgtool repo key rotate /srv/repo snapshot
  pkgtool repo publish /srv/repo
  pkgtool repo key rotate /srv/repo root --old 3f2a77d01c9e --public new.pem.pub`,
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := source.read()
			if err != nil {
				return err
			}
			return app.changeKeys(cmd.Context(), args[0], source.publish, func(r *repo.Repository) (*repo.KeyChange, error) {
				return r.RotateKey(cmd.Context(), args[1], old, key)
			})
		},
	}
	source.flags(cmd)
	cmd.Flags().StringVar(&old, "old", "", "id of the key that goes, or its first digits (default: the only one)")
	return cmd
}

func repoKeyRevoke(app *App) *cobra.Command {
	var source keySource
	cmd := &cobra.Command{
		Use: "revoke DIR KEYID", Short: "Take a key out of its role, without a new one in its place", Args: cobra.ExactArgs(2),
		Long: `Takes a key, named by its id or the first digits of it, out of its role. A role
that would be left with too few keys refuses: rotate the key then, or lower the
threshold.`,
		Example: `  pkgtool repo key revoke /srv/repo 3f2a77d01c9e`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.changeKeys(cmd.Context(), args[0], source.publish, func(r *repo.Repository) (*repo.KeyChange, error) {
				return r.RevokeKey(cmd.Context(), args[1])
			})
		},
	}
	source.publishFlag(cmd)
	return cmd
}

func repoKeyThreshold(app *App) *cobra.Command {
	var source keySource
	cmd := &cobra.Command{
		Use: "threshold DIR ROLE N", Short: "Say how many keys of a role must sign", Args: cobra.ExactArgs(3), ValidArgsFunction: completeRole,
		Example: `  pkgtool repo key threshold /srv/repo root 2`,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[2])
			if err != nil {
				return usagef("give a number of keys", "%q is not a number", args[2])
			}
			return app.changeKeys(cmd.Context(), args[0], source.publish, func(r *repo.Repository) (*repo.KeyChange, error) {
				return r.SetThreshold(cmd.Context(), args[1], n)
			})
		},
	}
	source.publishFlag(cmd)
	return cmd
}

func repoKeyCancel(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "cancel DIR", Short: "Drop the changes of keys that are not published yet", Args: cobra.ExactArgs(1),
		Example: `  pkgtool repo key cancel /srv/repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Open(args[0], repoOptions())
			if err != nil {
				return err
			}
			was, err := r.ForgetKeyChange(cmd.Context())
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "cancelled": was}, func(w io.Writer) {
				if was {
					fmt.Fprintln(w, "dropped; private keys made for it stay in their folder")
				} else {
					fmt.Fprintln(w, "nothing was about to change")
				}
			})
		},
	}
}

// completeRole completes the role, which is the second argument.
func completeRole(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	var roles []string
	for _, role := range repo.Roles() {
		if len(args) == 1 && strings.HasPrefix(role, toComplete) {
			roles = append(roles, role)
		}
	}
	return roles, cobra.ShellCompDirectiveNoFileComp
}
