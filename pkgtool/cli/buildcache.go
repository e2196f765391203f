package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"ashlar/pkgtool/build"
	shared "ashlar/pkgtool/build/remote"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"

	"github.com/spf13/cobra"
)

// cacheCommands look after what builds leave behind.
func cacheCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use: "cache", Short: "Look after the cache of builds, and that shared with other builders",
		Long: `What was built is kept in a cache ($ASHLAR_CACHE/build, else ~/.cache/ashlar/build)
under a key made of everything that a build can see. A second cache can be shared with
other builders: a folder, a web server or a repository of an OCI registry. What is found
there under the same key, signed by a builder whose key is allowed, is not built again.

` + shared.ConfigName + ` beside the recipes, or build-cache.yaml beside the folder of keys, names it:

  schema: 1
  url: https://cache.example.org/ashlar
  keys: [builders.asc]     # whose results count, besides one's own
  threshold: 1             # how many of them must have built the same
  push: false              # give what is built here, as build --push does`,
		Example: `  pkgtool build --cache /srv/ashlar-cache --push
  pkgtool build --cache oci://registry.example.org/ashlar/cache --cache-key builders.asc
  pkgtool cache status
  pkgtool cache gc --max-size 20GiB`,
	}
	cmd.AddCommand(cacheStatus(app), cacheGC(app), cachePush(app), cacheVerify(app))
	return []*cobra.Command{cmd}
}

// cacheOptions are what the commands have in common.
type cacheOptions struct {
	recipes string
	shared  sharedOptions
}

func (o *cacheOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.recipes, "recipes", "recipes", "folder of all recipes")
	o.shared.flags(cmd)
}

// open opens the engine with its shared cache.
func (o *cacheOptions) open(app *App) (*build.Engine, *shared.Config, error) {
	engine, err := build.Open(o.recipes)
	if err != nil {
		return nil, nil, err
	}
	signer, err := packagerKey(app)
	if err != nil {
		return nil, nil, err
	}
	report, closeReport := BuildReporter(app)
	defer closeReport()
	engine.Report = report
	config, err := o.shared.open(engine, o.recipes, signer)
	return engine, config, err
}

// cacheState is what `cache status` prints, schema 1.
type cacheState struct {
	Schema int                 `json:"schema"`
	Dir    string              `json:"dir"`
	Bytes  int64               `json:"bytes"`
	Parts  []build.Part        `json:"parts"`
	URL    string              `json:"url"`    // of the shared cache; "" is none
	Config string              `json:"config"` // the file that names it, if one does
	Keys   []string            `json:"keys"`   // fingerprints of builders whose results count
	Have   *build.SharedReport `json:"have"`   // which recipes both have
}

func cacheStatus(app *App) *cobra.Command {
	var o cacheOptions
	cmd := &cobra.Command{
		Use: "status [NAME...]", Short: "Show how big the cache is, and which recipes it and the shared one have",
		Long: `Shows what the parts of the cache take on disk, and of the named recipes and what they
need (all recipes when none is named) how many are in this cache and in the shared one, as
they stand now. Nothing is built or fetched.`,
		Example:           "  pkgtool cache status\n  pkgtool --json cache status | jq .have.unbuilt",
		ValidArgsFunction: completeRecipes(&o.recipes),
		RunE: func(cmd *cobra.Command, names []string) error {
			engine, config, err := o.open(app)
			if err != nil {
				return err
			}
			state := cacheState{Schema: 1, Dir: engine.Cache.Dir(), Config: config.File(), Keys: []string{}}
			if state.Parts, err = engine.Cache.Parts(); err != nil {
				return err
			}
			for _, p := range state.Parts {
				state.Bytes += p.Bytes
			}
			if engine.Shared != nil {
				state.URL = engine.Shared.Store.String()
				for _, k := range engine.Shared.Keys.Keys() {
					state.Keys = append(state.Keys, k.Fingerprint())
				}
			}
			if state.Have, err = engine.LookShared(cmd.Context(), names); err != nil {
				return err
			}
			return app.Print(state, state.print)
		},
	}
	o.flags(cmd)
	return cmd
}

func (s cacheState) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", s.Dir, sizeText(s.Bytes))
	for _, p := range s.Parts {
		fmt.Fprintf(w, "  %-10s %6d  %10s\n", p.Name, p.Entries, sizeText(p.Bytes))
	}
	fmt.Fprintf(w, "%d of %d recipes are in this cache\n", len(s.Have.Local), s.Have.Recipes)
	if s.URL == "" {
		fmt.Fprintln(w, "no shared cache is named; see pkgtool cache --help")
	} else {
		fmt.Fprintf(w, "%d of %d recipes are in %s, signed by one of %d keys\n", len(s.Have.Shared), s.Have.Recipes, s.URL, len(s.Keys))
	}
	for _, p := range s.Have.Problems {
		fmt.Fprintln(w, "  "+printable(p))
	}
	if len(s.Have.Unbuilt) > 0 {
		fmt.Fprintln(w, "to be built: "+strings.Join(s.Have.Unbuilt, " "))
	}
}

// sizeText is a number of bytes as a person reads it.
func sizeText(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func cacheGC(app *App) *cobra.Command {
	var o cacheOptions
	var c build.Collection
	var size, published string
	cmd := &cobra.Command{
		Use: "gc", Short: "Remove from the cache what is no longer needed",
		Args: cobra.NoArgs,
		Long: `Keeps of each recipe the results used last (--keep), whatever was used or made within the
grace time, and results of packages that a repository offers (--published). With --max-size
the results unused for longest go as well, until the rest fits. Packages, unpacked trees,
installed files and logs that belong to no kept result go with them.

It may run beside builds: while another pkgtool uses the cache, nothing of the last 24 hours
is touched. Sources and the seed are not part of it.`,
		Example: "  pkgtool cache gc --dry-run\n  pkgtool cache gc --keep 1 --grace 168h --max-size 20GiB --published /srv/repository/pool",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.MaxSize, err = parseSize(size); err != nil {
				return err
			}
			if c.Published, err = publishedIn(cmd.Context(), published); err != nil {
				return err
			}
			engine, err := build.Open(o.recipes)
			if err != nil {
				return err
			}
			got, err := engine.Cache.Collect(cmd.Context(), c)
			if err != nil {
				return err
			}
			return app.Print(struct {
				Schema int  `json:"schema"`
				DryRun bool `json:"dry_run"`
				*build.Collected
			}{1, c.DryRun, got}, func(w io.Writer) {
				verb := "removed"
				if c.DryRun {
					verb = "would remove"
				}
				fmt.Fprintf(w, "%s %d results, %d packages, %d trees, %d installed, %d other: %s; %s stay\n",
					verb, got.Results, got.Packages, got.Trees, got.Installed, got.Other, sizeText(got.Freed), sizeText(got.Left))
				if got.Shared {
					fmt.Fprintln(w, "another pkgtool uses the cache, so nothing of the last 24 hours was touched")
				}
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.recipes, "recipes", "recipes", "folder of all recipes")
	flags.IntVar(&c.Keep, "keep", 2, "results of each recipe that stay")
	flags.DurationVar(&c.Grace, "grace", 24*time.Hour, "what was used since stays in any case")
	flags.StringVar(&size, "max-size", "", "how big the cache may be, such as 20GiB")
	flags.StringVar(&published, "published", "", "folder of packages, such as a repository's pool, whose results stay")
	flags.BoolVar(&c.DryRun, "dry-run", false, "say what would be removed")
	return cmd
}

// parseSize reads a number of bytes with KiB, MiB, GiB or TiB.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number, factor := text, int64(1)
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			number, factor = n, int64(1)<<(10*(i+1))
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || n <= 0 || n*float64(factor) > 1<<60 {
		return 0, fault.Errorf(fault.Usage, "%q is no size; write 500MiB or 20GiB", text)
	}
	return int64(n * float64(factor)), nil
}

// publishedIn are the sha256 sums of the manifests of all packages in a folder.
func publishedIn(ctx context.Context, dir string) (map[string]bool, error) {
	found := map[string]bool{}
	if dir == "" {
		return found, nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(path, pkgfile.MediaSuffix) {
			return nil
		}
		p, err := pkgfile.OpenFile(path)
		if err != nil {
			return err
		}
		found[p.ManifestSHA256()] = true
		return p.Close()
	})
	if err == nil && len(found) == 0 {
		err = fault.Errorf(fault.Usage, "--published: no package below %s", dir)
	}
	return found, err
}

func cachePush(app *App) *cobra.Command {
	var o cacheOptions
	cmd := &cobra.Command{
		Use: "push [NAME...]", Short: "Give what was built here to the shared cache",
		Long: `Signs the results of the named recipes and of what they need (all recipes when none is
named) with the packager's key and puts them and their packages into the shared cache. Only
what this host has built: a signature says so. Nothing is built.

An equal entry of another builder gets a further signature; a different one is left alone, and
is an error.`,
		Example:           "  pkgtool cache push --cache /srv/ashlar-cache\n  pkgtool cache push zlib --cache oci://registry.example.org/ashlar/cache",
		ValidArgsFunction: completeRecipes(&o.recipes),
		RunE: func(cmd *cobra.Command, names []string) error {
			o.shared.push = true
			engine, _, err := o.open(app)
			if err != nil {
				return err
			}
			rep, err := engine.PushAll(cmd.Context(), names)
			if err != nil {
				return err
			}
			return app.Print(struct {
				Schema int    `json:"schema"`
				URL    string `json:"url"`
				*build.SharedReport
			}{1, engine.Shared.Store.String(), rep}, func(w io.Writer) {
				fmt.Fprintf(w, "%d of %d recipes pushed to %s\n", len(rep.Pushed), rep.Recipes, engine.Shared.Store)
				if len(rep.Unbuilt) > 0 {
					fmt.Fprintln(w, "not built: "+strings.Join(rep.Unbuilt, " "))
				}
			})
		},
	}
	o.flags(cmd)
	return cmd
}

func cacheVerify(app *App) *cobra.Command {
	var o cacheOptions
	var repair, sharedToo bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Read the whole cache and compare it with its checksums", Args: cobra.NoArgs,
		Long: `Reads every package and every unpacked tree. With --repair what is wrong is removed, and the
next build makes it again. With --shared it reads the shared cache instead: the signatures of
all entries, and the packages they name.

The exit code is 4 where something is wrong and was not removed.`,
		Example: "  pkgtool cache verify --repair\n  pkgtool cache verify --shared --cache oci://registry.example.org/ashlar/cache",
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, _, err := o.open(app)
			if err != nil {
				return err
			}
			var got *build.Checked
			switch {
			case sharedToo && engine.Shared == nil:
				return fault.Mark(errors.New("--shared: no shared build cache is named"), fault.Usage, "name it with --cache")
			case sharedToo:
				got, err = engine.CheckShared(cmd.Context())
			default:
				got, err = engine.Cache.Check(cmd.Context(), runtime.NumCPU(), repair)
			}
			if err != nil {
				return err
			}
			err = app.Print(struct {
				Schema int `json:"schema"`
				*build.Checked
			}{1, got}, func(w io.Writer) {
				for _, p := range got.Problems {
					fmt.Fprintln(w, printable(p))
				}
				fmt.Fprintf(w, "%d packages, %d trees, %d entries read; %d are wrong, %d removed\n", got.Packages, got.Trees, got.Entries, len(got.Problems), got.Removed)
			})
			if err == nil && len(got.Problems) > got.Removed {
				return fault.Mark(fmt.Errorf("%d entries of the build cache are wrong", len(got.Problems)-got.Removed), fault.Security, "pkgtool cache verify --repair removes them from the cache of this host")
			}
			return err
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&repair, "repair", false, "remove what is wrong")
	cmd.Flags().BoolVar(&sharedToo, "shared", false, "verify the shared cache")
	return cmd
}
