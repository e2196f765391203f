package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/seed"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/build/source/git"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// recipeSources are commands that work on everything recipes fetch.
type recipeSources struct{ recipes string }

func (o *recipeSources) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.recipes, "recipes", "recipes", "folder of all recipes")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		tree, err := recipe.LoadTree(o.recipes, lintArch)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := tree.Names()
		for _, group := range tree.Groups() {
			names = append(names, "@"+group)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// mean tells recipes from URIs and files without a sum.
func (o *recipeSources) mean(cmd *cobra.Command, args []string) bool {
	for _, arg := range args {
		if info, err := os.Stat(arg); strings.ContainsAny(arg, ":/") || err == nil && info.Mode().IsRegular() {
			return false
		}
	}
	_, err := os.Stat(o.recipes)
	return len(args) == 0 || err == nil || cmd.Flags().Changed("recipes")
}

// list returns what the named recipes, or all recipes and the seed, fetch.
func (o *recipeSources) list(names []string) ([]source.Source, error) {
	tree, err := recipe.LoadTree(o.recipes, lintArch)
	if err != nil {
		return nil, err
	}
	var all []source.Source
	if len(names) == 0 {
		names = tree.Names()
		lock, err := seed.ReadLock(filepath.Join(o.recipes, "seed.lock"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil {
			for _, layer := range lock.LayerNames() {
				for _, e := range lock.Layers[layer] {
					all = append(all, e.Source())
				}
			}
		}
	}
	if names, err = tree.Expand(names); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var recipes []*recipe.Recipe
	for _, name := range names {
		r, err := tree.Recipe(name)
		if err != nil {
			return nil, err
		}
		if !seen[r.Name] {
			seen[r.Name] = true
			recipes = append(recipes, r)
		}
	}
	pinned, err := build.PinnedSources(tree, recipes)
	if err != nil {
		return nil, err
	}
	return source.Distinct(append(all, pinned...)), nil
}

// fetch fetches what recipes pin, several at a time, and tells every failure.
func (o *recipeSources) fetch(ctx context.Context, app *App, names []string) error {
	sources, err := o.list(names)
	if err != nil {
		return err
	}
	fetcher, err := source.Host()
	if err != nil {
		return err
	}
	progress := app.transferShared()
	problems := make([]error, len(sources))
	sizes := make([]int64, len(sources))
	var group errgroup.Group
	group.SetLimit(source.Transfers)
	for i, s := range sources {
		group.Go(func() error {
			path, err := fetcher.Fetch(ctx, s, progress)
			if err == nil {
				var info fs.FileInfo
				if info, err = os.Stat(path); err == nil {
					sizes[i] = info.Size()
				}
			}
			problems[i] = err
			return nil
		})
	}
	group.Wait()
	if err := errors.Join(problems...); err != nil {
		return err
	}
	var size int64
	for _, n := range sizes {
		size += n
	}
	return app.Print(map[string]any{"schema": 1, "files": len(sources), "size": size}, func(w io.Writer) {
		fmt.Fprintf(w, "%d files, %s, all as pinned\n", len(sources), mebibytes(size))
	})
}

// transferShared is transfer for several goroutines.
func (a *App) transferShared() source.Progress {
	progress := a.transfer()
	if progress == nil {
		return nil
	}
	var mu sync.Mutex
	return func(name string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		progress(name, done, total)
	}
}

func sourceMirror(app *App) *cobra.Command {
	var o recipeSources
	cmd := &cobra.Command{
		Use:   "mirror FOLDER [RECIPE...]",
		Short: "Copy everything recipes fetch into a folder that can stand in for the network",
		Long: `Copies the sources of the named recipes, or of all recipes and the seed, into
FOLDER: files by their sums (sha256/HEX, h1/HEX), archives of git commits, upstream
signatures, and index.json, which says what they are. What is there and intact stays.

With ASHLAR_SOURCE_MIRROR=FOLDER, or the address of a web server that shows the
folder, every fetch looks there first. Nothing is believed because it lies there:
sums and signatures are checked as for any other place.`,
		Example: `  pkgtool source mirror /srv/sources
  ASHLAR_SOURCE_MIRROR=https://sources.example.org pkgtool build openssh`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, err := o.list(args[1:])
			if err != nil {
				return err
			}
			fetcher, err := source.Host()
			if err != nil {
				return err
			}
			index, err := fetcher.Copy(cmd.Context(), sources, args[0], app.transferShared())
			if err != nil {
				return err
			}
			return app.Print(index, func(w io.Writer) {
				var size int64
				for _, f := range index.Files {
					size += f.Size
				}
				fmt.Fprintf(w, "%d files, %s in %s\n", len(index.Files), mebibytes(size), args[0])
			})
		},
	}
	o.flags(cmd)
	return cmd
}

// verifyRemote asks every place of every source.
func (o *recipeSources) verifyRemote(ctx context.Context, app *App, names []string) error {
	sources, err := o.list(names)
	if err != nil {
		return err
	}
	fetcher, err := source.Host()
	if err != nil {
		return err
	}
	report, err := fetcher.VerifyRemote(ctx, sources)
	if err != nil {
		return err
	}
	gone := 0
	for _, s := range report.Sources {
		if !s.Had {
			gone++
		}
	}
	if err := app.Print(report, func(w io.Writer) {
		for _, s := range report.Sources {
			state := "worse"
			if !s.Had {
				state = "gone"
			}
			for _, p := range s.Places {
				if !p.Had {
					fmt.Fprintf(w, "%s: %s: %s: %s\n", state, s.Name, p.Where, p.Outcome)
				}
			}
		}
		fmt.Fprintf(w, "%d sources asked for, %d gone\n", len(report.Sources), gone)
	}); err != nil {
		return err
	}
	if gone > 0 {
		return fault.Mark(fmt.Errorf("%d sources are to be had nowhere", gone), fault.Network, "add places to their urls, and keep copies with source mirror")
	}
	return nil
}

func sourcePin(app *App) *cobra.Command {
	var c git.Commit
	cmd := &cobra.Command{
		Use:   "pin [URI]",
		Short: "Fetch a file or a git commit whose sum nobody knows yet, and print it pinned, for a recipe",
		Long: `Prints the entry of a recipe's sources. It trusts what comes this once: look at it,
and compare with what upstream publishes, before you commit the recipe.`,
		Example: `  pkgtool source pin https://example.org/thing-1.2.tar.xz
  pkgtool source pin --git https://example.org/thing.git --ref v1.2`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (c.URL == "") == (len(args) == 0) {
				return fault.Errorf(fault.Usage, "name either a URI or a repository with --git")
			}
			fetcher, err := source.Host()
			if err != nil {
				return err
			}
			if fetcher.Base, err = filepath.Abs("."); err != nil {
				return err
			}
			var pinned source.Source
			if c.URL != "" {
				_, pinned, err = fetcher.FirstCommit(cmd.Context(), c, app.transfer())
			} else {
				_, pinned, err = fetcher.First(cmd.Context(), args[0], app.transfer())
			}
			if err != nil {
				return err
			}
			entry := map[string]any{"schema": 1, "sha256": pinned.SHA256, "size": pinned.Size}
			lines := []string{"- urls: [" + strings.Join(pinned.URIs, "") + "]"}
			if g := pinned.Git; g != nil {
				entry["git"], entry["commit"] = g.URL, g.ID
				lines = []string{"- git: " + g.URL, "  commit: " + g.ID}
				if g.Ref != "" {
					entry["ref"] = g.Ref
					lines = append(lines, "  ref: "+g.Ref)
				}
				if g.Submodules {
					entry["submodules"] = true
					lines = append(lines, "  submodules: true")
				}
			} else {
				entry["urls"] = pinned.URIs
			}
			lines = append(lines, "  sha256: "+pinned.SHA256, fmt.Sprintf("  size: %d", pinned.Size))
			return app.Print(entry, func(w io.Writer) { fmt.Fprintln(w, strings.Join(lines, "\n")) })
		},
	}
	cmd.Flags().StringVar(&c.URL, "git", "", "`URL` of a repository")
	cmd.Flags().StringVar(&c.ID, "commit", "", "full `id` of the commit; without it what --ref leads to now")
	cmd.Flags().StringVar(&c.Ref, "ref", "", "branch or `tag` that leads to the commit; without it HEAD")
	cmd.Flags().BoolVar(&c.Submodules, "submodules", false, "take the files of submodules too")
	return cmd
}
