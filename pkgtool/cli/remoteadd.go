package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/repo/transport"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func remoteAdd(app *App) *cobra.Command {
	c := client.Config{Schema: 1}
	var rootFile, fingerprint string
	var disabled bool
	cmd := &cobra.Command{
		Use: "add NAME URL...", Short: "Add a repository, and the root that it is trusted by", Args: cobra.MinimumNArgs(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Add a repository under a name of your choice. Its URLs are mirrors, tried in their
order: http, https or file, oci://host/name for a registry of container images
that holds a repository, and oci+http:// for one without TLS.

Trust does not come from the mirror. Give the publisher's root.json
(--root-file), or the sha256 of it (--fingerprint), as the publisher told you by
another way; its own ` + "`pkgtool repo trust`" + ` prints both. Without them, and with no
root of that name on this system, you are shown the fingerprint and asked to
compare it; where no person can be asked, nothing is added.`,
		Example: `  pkgtool remote add example https://packages.example.org/ --root-file root.json
  pkgtool remote add example oci://registry.example.org/packages --root-file root.json
  pkgtool remote add example https://a.example.org/ https://b.example.org/ --fingerprint 3c1f...
  pkgtool remote add medium file:///run/media/repo --root-file /run/media/root.json --priority 60`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Name, c.URLs = args[0], args[1:]
			if disabled {
				c.Enabled = new(bool)
			}
			root, err := app.rootFor(cmd.Context(), c, rootFile, fingerprint)
			if err != nil {
				return err
			}
			if err := client.DirsOf(app.Root).Define(c, root); err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "name": c.Name, "urls": c.URLs, "root": root}, func(w io.Writer) {
				fmt.Fprintf(w, "added %s, trusted by root version %d, sha256 %s\n", c.Name, root.Version, root.SHA256)
				if !disabled {
					fmt.Fprintln(w, "next: pkgtool remote refresh "+c.Name)
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&rootFile, "root-file", "", "the publisher's root metadata")
	f.StringVar(&fingerprint, "fingerprint", "", "sha256 of the publisher's root metadata, all 64 digits")
	f.StringVar(&c.Channel, "channel", "stable", "channel to follow")
	f.IntVar(&c.Priority, "priority", client.DefaultPriority, "packages of the repository with the higher number win")
	f.BoolVar(&disabled, "disabled", false, "define it without using it yet")
	cmd.RegisterFlagCompletionFunc("channel", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("fingerprint", cobra.NoFileCompletions)
	return cmd
}

// rootFor finds the root to pin: the file that was given, the published one with
// the fingerprint that was given, the one that is pinned, or the published one
// whose fingerprint a person confirms.
func (a *App) rootFor(ctx context.Context, c client.Config, file, fingerprint string) (*client.Root, error) {
	if file != "" {
		root, err := client.ReadRoot(file)
		if err == nil && fingerprint != "" {
			_, err = client.FindRoot([]*client.Root{root}, fingerprint)
		}
		return root, err
	}
	if fingerprint == "" {
		root, err := client.DirsOf(a.Root).PinnedRoot(c.Name)
		if !errors.Is(err, fs.ErrNotExist) {
			return root, err
		}
		if in, ok := a.In.(*os.File); !ok || a.JSON || !term.IsTerminal(int(in.Fd())) {
			return nil, fault.Mark(fmt.Errorf("nothing says whom to trust for repository %s, and nobody is there to ask", c.Name), fault.Usage,
				"give --root-file or --fingerprint, from the publisher and not from the mirror")
		}
	}
	if fingerprint != "" {
		return client.PublishedRoot(ctx, c, transport.Limits{}, fingerprint)
	}
	roots, err := client.PublishedRoots(ctx, c, transport.Limits{})
	if err != nil {
		return nil, err
	}
	newest := roots[len(roots)-1]
	return newest, a.confirmRoot(newest)
}

// confirmRoot asks a person to compare a fingerprint. It wants digits of it: a
// yes is typed too easily.
func (a *App) confirmRoot(r *client.Root) error {
	fmt.Fprintf(a.Err, `The mirror says that this is repository %q, root version %d, good until %s,
with the fingerprint

  %s

A mirror can say anything. Compare it with what the publisher told you by
another way. If all of it is equal, type its first 8 digits to trust it: `,
		printable(r.Publisher), r.Version, r.Expires.Format(time.DateOnly), spaced(r.SHA256))
	answer, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.ReplaceAll(strings.TrimSpace(answer), " ", "") != r.SHA256[:8] {
		return fault.Mark(errors.New("those are not the digits; nothing was added"), fault.Failed, "ask the publisher for root.json, and give it with --root-file")
	}
	return nil
}

// spaced is a fingerprint in groups that people can compare.
func spaced(sum string) string {
	var b strings.Builder
	for i, c := range sum {
		if i > 0 && i%8 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}
