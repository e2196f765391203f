package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/signing"
	"ashlar/tests/bench/data"
	"ashlar/tests/bench/debian"
	"ashlar/tests/bench/measure"
)

// searched is what is looked for: some hundred packages have both words.
var searched = []string{"postgresql", "server"}

// search measures the search in all packages of Debian, beside apt's.
func (b *bench) search(ctx context.Context) error {
	a, err := b.archive(ctx)
	if err != nil {
		return err
	}
	if err := b.publishIndex(ctx, a); err != nil {
		return err
	}
	root := filepath.Join(a.dir, "root")
	if err := errors.Join(remove(root), data.Connect(root, a.repository(), a.repository())); err != nil {
		return err
	}
	args := b.ours(root, "refresh")
	if err := command(ctx, args[0], args[1:]...); err != nil {
		return err
	}
	least := func(stdout []byte) error {
		if bytes.Count(stdout, []byte("\n")) < 5 {
			return fmt.Errorf("it found %q", stdout)
		}
		return nil
	}
	return b.group(ctx, "search in Debian's packages", []measure.Case{
		{Name: "pkgtool search", Goal: "0.050 s", Args: b.ours(root, append([]string{"search"}, searched...)...), Check: least},
		{Name: "apt-cache search", Args: append([]string{"apt-cache", "search"}, searched...), Env: []string{"APT_CONFIG=" + a.aptConf}, Check: least},
		{Name: "pkgtool info", Args: b.ours(root, "info", "nginx")},
		{Name: "apt-cache show", Args: []string{"apt-cache", "show", "nginx"}, Env: []string{"APT_CONFIG=" + a.aptConf}},
	})
}

// repository is the folder of a signed repository that lists Debian's packages.
func (a *archive) repository() string { return filepath.Join(a.dir, "repo") }

// publishIndex makes that repository, once. Its indexes are as repo.Add would
// have left them, but its pool is empty: nothing is ever installed from it.
func (b *bench) publishIndex(ctx context.Context, a *archive) error {
	dir := a.repository()
	if _, err := os.Stat(filepath.Join(dir, repo.TimestampPath)); err == nil {
		return nil
	}
	b.say("publishing a repository of Debian's packages")
	if err := remove(dir); err != nil {
		return err
	}
	lines, err := a.read()
	if err != nil {
		return err
	}
	keys := filepath.Join(a.dir, "keys")
	store, err := signing.OpenStore(keys)
	if err != nil {
		return err
	}
	key, _, err := store.EnsureDefault()
	if err != nil {
		return err
	}
	r, err := repo.Init(ctx, dir, repo.Settings{Name: data.RepositoryName, Packagers: []*signing.PublicKey{key.Public()}, Lifetimes: data.Lifetimes},
		repo.Options{Keys: keys})
	if err != nil {
		return err
	}
	var entries []index.Entry
	for _, l := range lines {
		entries = append(entries, entryOf(l))
	}
	if err := r.SetListed(ctx, repo.DefaultChannel, entries...); err != nil {
		return err
	}
	_, err = r.Publish(ctx)
	return err
}

// entryOf is what an index of ours says about a package of Debian.
func entryOf(l debian.Line) index.Entry {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(l.Name+" "+l.Debian)))
	e := index.Entry{Name: l.Name, Version: l.Version, Release: l.Release, Arch: l.Arch, Upstream: l.Debian, Summary: plain(l.Summary),
		Requires: l.Requires, Provides: l.Provides, Conflicts: l.Conflicts, Recommends: l.Recommends,
		Size: max(l.Size, 1<<12), InstalledSize: l.Size, SHA256: sum, Manifest: sum, MetaSize: 1 << 10}
	e.Path = e.PoolPath()
	return e
}

// plain replaces what an index of ours does not take, such as thin spaces.
func plain(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)), " ")
}
