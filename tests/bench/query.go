package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"ashlar/tests/bench/data"
	"ashlar/tests/bench/measure"
)

// asked is the path whose owner is asked for: in the middle of everything.
const asked = "usr/share/perl/5.36.0/Pod/Usage.pm"

// query measures questions about an installed system, on tmpfs.
func (b *bench) query(ctx context.Context) error {
	d, err := b.data(ctx)
	if err != nil {
		return err
	}
	dir, err := b.mount(ctx, memory)
	if err != nil {
		return err
	}
	defer clear(dir)
	root := filepath.Join(dir, "root")
	if err := b.installed(ctx, root); err != nil {
		return err
	}
	var list, owns, verify []measure.Case
	packages := len(d.Packages[data.Base])
	all := func(least int) func([]byte) error {
		return func(stdout []byte) error {
			if n := bytes.Count(stdout, []byte("\n")); n < least {
				return fmt.Errorf("%d lines for %d packages", n, packages)
			}
			return nil
		}
	}
	found := func(stdout []byte) error {
		if !bytes.Contains(stdout, []byte("perl-modules-5.36")) {
			return fmt.Errorf("it said %q", stdout)
		}
		return nil
	}
	list = append(list, measure.Case{Name: "pkgtool list", Goal: "0.015 s", Args: b.ours(root, "list"), Check: all(packages)},
		measure.Case{Name: "pkgtool list --json", Args: b.ours(root, "list", "--json"), Check: all(packages)})
	owns = append(owns, measure.Case{Name: "pkgtool owns", Goal: "0.015 s", Args: b.ours(root, "owns", "/"+asked), Check: found})
	verify = append(verify,
		measure.Case{Name: "sha256sum of the tree", Floor: true, Args: shell(`cd "$1" && find usr etc var -type f -print0 | xargs -0 sha256sum`, d.Tree(data.Base)),
			Check: all(d.Total(data.Base).Files * 9 / 10)},
		measure.Case{Name: "sha256sum on all cores", Args: shell(`cd "$1" && find usr etc var -type f -print0 | xargs -0 -n 500 -P "$(nproc)" sha256sum`, d.Tree(data.Base))},
		measure.Case{Name: "pkgtool verify", Goal: "0.12", Args: b.ours(root, "verify")})
	for _, r := range rivals {
		system := filepath.Join(dir, r.name)
		files, err := d.Files(data.Base, r.format)
		if err != nil {
			return err
		}
		if err := begin(system, r); err != nil {
			return err
		}
		args := r.take(system, files)
		if err := command(ctx, args[0], args[1:]...); err != nil {
			return err
		}
		on := func(args []string) []string {
			var out []string
			for _, a := range args {
				path := "/" + asked
				if r.name == "pacman" {
					path = system + path
				}
				out = append(out, strings.NewReplacer("%ROOT", system, "%PATH", path).Replace(a))
			}
			return out
		}
		list = append(list, measure.Case{Name: strings.Join(r.list[:1], " ") + " (list)", Args: on(r.list), Check: all(packages)})
		owns = append(owns, measure.Case{Name: r.name + " (owns)", Args: on(r.owns), Check: found})
		// They report times, owners or folders that differ from the packages'; what counts is that they looked.
		verify = append(verify, measure.Case{Name: r.name + " (verify)", Args: on(r.verify), Exit: []int{1}})
	}
	nothing := []measure.Case{
		{Name: "pkgtool upgrade --offline", Goal: "0.025 s", Args: b.ours(root, "upgrade", "--yes", "--offline")},
		{Name: "pkgtool upgrade, repository asked", Goal: "0.025 s", Args: b.ours(root, "upgrade", "--yes")},
	}
	for _, g := range []struct {
		name  string
		cases []measure.Case
	}{{"list packages", list}, {"who owns a file", owns}, {"upgrade with nothing to do", nothing}, {"verify everything", verify}} {
		if err := b.group(ctx, g.name, g.cases); err != nil {
			return err
		}
	}
	return nil
}
