package main

import (
	"context"
	"os"
	"path/filepath"

	"ashlar/tests/bench/data"
	"ashlar/tests/bench/measure"
)

// install measures the installation of all packages into an empty root.
func (b *bench) install(ctx context.Context, m medium) error {
	d, err := b.data(ctx)
	if err != nil {
		return err
	}
	dir, err := b.mount(ctx, m)
	if err != nil {
		return err
	}
	// On the medium itself: a hard link cannot leave its file system.
	tree, root, held := filepath.Join(dir, "tree"), filepath.Join(dir, "root"), filepath.Join(dir, "held")
	if err := copyOf(ctx, d.Tree(data.Base), tree); err != nil {
		return err
	}
	empty := func(context.Context) error { return remove(root) }
	check := func([]byte) error { return same(tree, root) }
	flush := m.flushed(dir)
	cases := []measure.Case{
		{Name: "zstd -dc | tar -x", Floor: true, Args: shell(`mkdir "$1" && zstd -dc "$2" | tar -x -C "$1"`, root, d.Archive(data.Base))},
		{Name: "cp -al (hard links)", Args: []string{"cp", "-al", tree, root}},
		{Name: "cp -a", Args: []string{"cp", "-a", tree, root}},
	}
	for i := range cases {
		cases[i].Prepare = empty
	}
	cases = append(cases, measure.Case{Name: "pkgtool, cold", Goal: "0.42, 64 MiB", Args: b.ours(root, b.installArgs()...),
		Prepare: func(context.Context) error { return b.fresh(root, data.Base) }})
	if err := b.withObjects(ctx, held); err != nil {
		b.say("no system that holds all objects: %v", err)
	} else {
		cases = append(cases, measure.Case{Name: "pkgtool, objects in the store", Goal: "0.20", Args: b.ours(root, b.installArgs()...),
			Prepare: func(ctx context.Context) error { return copyOf(ctx, held, root) }})
	}
	for _, r := range rivals {
		files, err := d.Files(data.Base, r.format)
		if err != nil {
			return err
		}
		cases = append(cases, measure.Case{Name: r.name, Args: r.take(root, files), Prepare: func(ctx context.Context) error {
			return begin(root, r)
		}})
	}
	for i := range cases {
		cases[i].Flush, cases[i].Check = flush, check
	}
	err = b.group(ctx, "install "+m.name, cases)
	for _, path := range []string{tree, root, held} {
		if e := remove(path); err == nil {
			err = e
		}
	}
	return err
}

// installArgs install the whole base set.
func (b *bench) installArgs() []string {
	return append([]string{"install", "--yes"}, b.dataset.Wanted...)
}

// withObjects makes root a system that had all packages and has none: the old
// generation keeps their objects. Its spare tree is taken away, or a second
// installation would be one exchange of two folders.
func (b *bench) withObjects(ctx context.Context, root string) error {
	if err := b.fresh(root, data.Base); err != nil {
		return err
	}
	remove := append([]string{"remove", "--yes", "--allow-removals"}, b.dataset.Names(data.Base)...)
	for _, args := range [][]string{b.ours(root, b.installArgs()...), b.ours(root, remove...)} {
		if err := command(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(root, ".ashlar/trees"))
}

// begin makes root one that a rival can work on.
func begin(root string, r manager) error {
	if err := remove(root); err != nil {
		return err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	return r.start(root)
}

// shell is the call of a shell script with arguments.
func shell(script string, args ...string) []string {
	return append([]string{"sh", "-c", "set -e; " + script, "sh"}, args...)
}
