package main

import (
	"context"
	"os"
	"path/filepath"

	"ashlar/tests/bench/data"
	"ashlar/tests/bench/measure"
)

// upgrade measures new versions of 14 packages on a system that has been in
// use, and the way back.
func (b *bench) upgrade(ctx context.Context, m medium) error {
	d, err := b.data(ctx)
	if err != nil {
		return err
	}
	dir, err := b.mount(ctx, m)
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	flush := m.flushed(dir)
	check := func([]byte) error { return same(d.Tree(data.Upgrade), root) }
	back := func([]byte) error { return same(d.Tree(data.Base), root) }
	cases := []measure.Case{{Name: "zstd -dc | tar -x of the 14", Floor: true,
		Args:    shell(`mkdir "$1" && zstd -dc "$2" | tar -x -C "$1"`, root, d.Archive(data.Upgrade)),
		Prepare: func(context.Context) error { return remove(root) }, Check: check}}

	// Each system is made once and copied before each run.
	systems := []struct {
		name, goal string
		rollback   string
		prepare    func(system string) error
	}{
		{"pkgtool", "0.8", "0.050 s + flush", func(system string) error { return b.installed(ctx, system) }},
		{"pkgtool, 10 x files installed", "0.8", "0.050 s + flush", func(system string) error {
			return b.installed(ctx, system, d.Names(data.Filler)...)
		}},
		{"pkgtool, first transaction after an install", "", "", func(system string) error {
			if err := b.fresh(system, data.Base); err != nil {
				return err
			}
			args := b.ours(system, b.installArgs()...)
			return command(ctx, args[0], args[1:]...)
		}},
	}
	if m.flush {
		systems = systems[:1] // copying the others before each run takes minutes
	}
	for i, s := range systems {
		system := filepath.Join(dir, "system-"+string(rune('a'+i)))
		if err := s.prepare(system); err != nil {
			b.say("upgrade: %s: %v", s.name, err)
			b.fact("upgrade "+m.name, s.name, s.goal, "not measured: %v", err)
			continue
		}
		before := func(ctx context.Context) error {
			if err := copyOf(ctx, system, root); err != nil {
				return err
			}
			return b.connect(root, data.Upgrade)
		}
		do := b.ours(root, "upgrade", "--yes")
		cases = append(cases, measure.Case{Name: s.name, Goal: s.goal, Args: do, Prepare: before, Check: check})
		if s.rollback != "" {
			cases = append(cases, measure.Case{Name: s.name + ": rollback", Goal: s.rollback, Args: b.ours(root, "rollback", "--yes"),
				Prepare: func(ctx context.Context) error {
					if err := before(ctx); err != nil {
						return err
					}
					return command(ctx, do[0], do[1:]...)
				}, Check: back})
		}
	}
	for _, r := range rivals {
		base, err := d.Files(data.Base, r.format)
		if err != nil {
			return err
		}
		files, err := d.Files(data.Upgrade, r.format)
		if err != nil {
			return err
		}
		system := filepath.Join(dir, "system-"+r.name)
		if err := begin(system, r); err != nil {
			return err
		}
		args := r.take(system, base)
		if err := command(ctx, args[0], args[1:]...); err != nil {
			return err
		}
		cases = append(cases, measure.Case{Name: r.name, Args: r.take(root, files), Check: check,
			Prepare: func(ctx context.Context) error { return copyOf(ctx, system, root) }})
	}
	for i := range cases {
		cases[i].Flush = flush
	}
	err = b.group(ctx, "upgrade "+m.name, cases)
	if e := clear(dir); err == nil {
		err = e
	}
	return err
}

// clear removes everything in a folder.
func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err := remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return err
}
