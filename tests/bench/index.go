package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ashlar/signing"
	"ashlar/tests/bench/data"
	"ashlar/tests/bench/measure"
)

// index measures how fast repositories are made of packages, and how fast one
// more package comes into a large one.
func (b *bench) index(ctx context.Context) error {
	d, err := b.data(ctx)
	if err != nil {
		return err
	}
	store, err := signing.OpenStore(d.Path("keys"))
	if err != nil {
		return err
	}
	key, err := store.Default()
	if err != nil {
		return err
	}
	small, err := b.small(ctx, key)
	if err != nil {
		return err
	}
	dir, err := b.mount(ctx, memory)
	if err != nil {
		return err
	}
	keys := filepath.Join(dir, "keys")
	if err := copyOf(ctx, d.Path("keys"), keys); err != nil {
		return err
	}
	x := &indexing{bench: b, dir: dir, env: []string{"ASHLAR_KEYS=" + keys}}
	if err := x.measure(ctx, "index, real packages", d.Path(data.Base), len(d.Packages[data.Base])); err != nil {
		return err
	}
	if err := x.measure(ctx, "index, small packages", small, fewPackages); err != nil {
		return err
	}
	return x.oneMore(ctx, small)
}

// indexing is one folder of packages in all formats, and where repositories of
// them are made.
type indexing struct {
	*bench
	dir string
	env []string
}

func (x *indexing) ours() string { return filepath.Join(x.dir, "repo") }

// begin makes an empty repository of ours.
func (x *indexing) begin(ctx context.Context) error {
	if err := remove(x.ours()); err != nil {
		return err
	}
	return x.run(ctx, "repo", "init", x.ours(), "--name", "index")
}

func (x *indexing) run(ctx context.Context, args ...string) error {
	return command(ctx, "env", append([]string{x.env[0], x.pkgtool, "--quiet"}, args...)...)
}

// measure makes a repository of all packages in from/FORMAT with every tool.
// repo-add gets few of them, if there are more.
func (x *indexing) measure(ctx context.Context, group, from string, few int) error {
	ours := filepath.Join(from, "ashlar")
	count, size, err := filesIn(ours, ".ashlar")
	if err != nil {
		return err
	}
	good := func([]byte) error {
		out, err := exec.CommandContext(ctx, x.pkgtool, "repo", "check", "--quick", x.ours()).CombinedOutput()
		if want := fmt.Sprintf("good: %d packages,", count); err != nil || !strings.HasPrefix(string(out), want) {
			return fmt.Errorf("%w: %.300s", err, out)
		}
		return nil
	}
	add := func(name, flags string) measure.Case {
		return measure.Case{Name: name, Goal: "ahead of the three", Prepare: x.begin, Env: x.env, Check: good,
			Args: shell(`cd "$1" && exec "$2" --quiet repo add --publish `+flags+` "$3" *.ashlar >/dev/null`, ours, x.pkgtool, x.ours())}
	}
	out := filepath.Join(x.dir, "rival")
	empty := func(context.Context) error {
		if err := remove(out); err != nil {
			return err
		}
		return os.Mkdir(out, 0o755)
	}
	lists := func(file, each string, n int) func([]byte) error {
		return func([]byte) error {
			text, err := os.ReadFile(filepath.Join(out, file))
			if got := bytes.Count(text, []byte(each)); err != nil || got < n {
				return fmt.Errorf("%s lists %d of %d packages: %w", file, got, n, err)
			}
			return nil
		}
	}
	cases := []measure.Case{
		{Name: "sha256sum", Floor: true, Args: shell(`cd "$1" && exec sha256sum *.ashlar >/dev/null`, ours)},
		add("pkgtool repo add", ""),
		add("pkgtool repo add --no-unpack", "--no-unpack"),
		{Name: "createrepo_c", Prepare: empty, Args: []string{"createrepo_c", "--quiet", "--no-database", "--outputdir", out, filepath.Join(from, "rpm")},
			Check: lists("repodata/repomd.xml", "<data ", 3)},
		{Name: "apt-ftparchive", Prepare: empty, Args: shell(`exec apt-ftparchive packages "$1" >"$2/Packages"`, filepath.Join(from, "deb"), out), Check: lists("Packages", "\nPackage: ", count-1)},
		{Name: "repo-add", Prepare: empty, Rounds: 1, Args: shell(`cd "$1" && repo-add -q "$2/x.db.tar.gz" *.pkg.tar.* >/dev/null && tar -tf "$2/x.db.tar.gz" >"$2/list"`, filepath.Join(from, "pacman"), out),
			Check: lists("list", "/desc\n", few)},
	}
	before := len(x.report.Results)
	if err := x.group(ctx, group, cases); err != nil {
		return err
	}
	for _, r := range x.report.Results[before:] {
		if r.Problem != "" {
			continue
		}
		n, bytes := count, size
		if suffix, ok := map[string]string{"createrepo_c": "rpm", "apt-ftparchive": "deb", "repo-add": "pacman"}[r.Name]; ok {
			if n, bytes, err = filesIn(filepath.Join(from, suffix), ""); err != nil {
				return err
			}
		}
		x.fact(group, r.Name, "", "%.0f packages/s, %.0f MB/s of %.0f MB", float64(n)/r.Median, mega(bytes)/r.Median, mega(bytes))
	}
	return nil
}

// filesIn counts the files of a folder that end in suffix, and their bytes.
func filesIn(dir, suffix string) (n int, size int64, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0, err
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			return 0, 0, err
		}
		if info.Mode().IsRegular() && strings.HasSuffix(f.Name(), suffix) {
			n, size = n+1, size+info.Size()
		}
	}
	return n, size, nil
}

// oneMore measures how one package comes into a repository of all small ones.
func (x *indexing) oneMore(ctx context.Context, small string) error {
	last := smallName(smallPackages - 1)
	whole, rpms := filepath.Join(x.dir, "whole"), filepath.Join(x.dir, "rpms")
	cache, out := filepath.Join(x.dir, "cache"), filepath.Join(x.dir, "rival")
	if err := x.begin(ctx); err != nil {
		return err
	}
	// All but the last, as all tools had them before.
	script := `cd "$1" && set -- $(ls | grep -v "^$2") && exec "$PKGTOOL" --quiet repo add --no-unpack --publish "$REPO" "$@" >/dev/null`
	if err := command(ctx, "env", x.env[0], "PKGTOOL="+x.pkgtool, "REPO="+x.ours(), "sh", "-c", script, "sh", filepath.Join(small, "ashlar"), last); err != nil {
		return err
	}
	if err := os.Rename(x.ours(), whole); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"cp", "-a", filepath.Join(small, "rpm"), rpms + ".few"},
		{"cp", "-a", filepath.Join(small, "rpm"), rpms},
		{"sh", "-c", `set -e; mkdir "$3"; rm "$1".few/"$2"-*; createrepo_c --quiet --no-database --outputdir "$3" "$1".few`, "sh", rpms, last, cache},
	} {
		if err := command(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	db := filepath.Join(x.dir, "apt.db")
	if err := command(ctx, "sh", "-c", `apt-ftparchive --db "$1" packages "$2" >/dev/null`, "sh", db, filepath.Join(small, "deb")); err != nil {
		return err
	}
	err := x.group(ctx, "index, one more into 30,000", []measure.Case{
		{Name: "pkgtool repo add --publish", Goal: "2 s, 10 MiB", Env: x.env, Args: []string{x.pkgtool, "--quiet", "repo", "add", "--publish", x.ours(), filepath.Join(small, "ashlar", last+"-1.0.0-1.x86_64.ashlar")},
			Prepare: func(ctx context.Context) error {
				if err := remove(x.ours()); err != nil {
					return err
				}
				return copyOf(ctx, whole, x.ours())
			}},
		{Name: "createrepo_c --update", Args: []string{"createrepo_c", "--quiet", "--no-database", "--update", "--outputdir", out, rpms},
			Prepare: func(ctx context.Context) error {
				if err := remove(out); err != nil {
					return err
				}
				return copyOf(ctx, cache, out)
			}},
		{Name: "apt-ftparchive --db", Args: shell(`exec apt-ftparchive --db "$1" packages "$2" >"$3"`, db, filepath.Join(small, "deb"), filepath.Join(x.dir, "Packages"))},
	})
	_, before, e := treeSize(whole)
	if e != nil {
		return e
	}
	_, after, e := treeSize(x.ours())
	x.fact("index, one more into 30,000", "new bytes of pkgtool's repository", "10 MiB", "%.2f MB", mega(after-before))
	if err == nil {
		err = e
	}
	return err
}

// treeSize adds up the files of a tree.
func treeSize(dir string) (n int, size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n, size = n+1, size+info.Size()
		}
		return err
	})
	return n, size, err
}
