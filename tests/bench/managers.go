package main

import (
	"context"
	"os"
	"path/filepath"

	"ashlar/tests/bench/data"
)

// manager is one of the rivals: how it takes package files into a root.
type manager struct {
	name   string
	format string
	// start makes of an empty folder a root that it can work on.
	start func(root string) error
	// take is the call that installs or upgrades the package files.
	take func(root string, files []string) []string
	// Questions about what is installed: all packages, who owns a path, and
	// whether all files are what they should be.
	list, owns, verify []string // %ROOT and %PATH stand for the root and a path in it
}

// rivals run without scripts and without signatures, and need not flush after
// each file: each as fast as its options allow.
var rivals = []manager{
	{
		name: "dpkg", format: "deb",
		start: func(root string) error {
			return makeFiles(root, map[string]string{"var/lib/dpkg/status": "", "var/lib/dpkg/available": "", "var/log/dpkg.log": ""},
				"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers")
		},
		take: func(root string, files []string) []string {
			return append([]string{"dpkg", "--root=" + root, "--force-unsafe-io", "--force-depends", "--force-confnew", "-i"}, files...)
		},
		list:   []string{"dpkg", "--root=%ROOT", "-l"},
		owns:   []string{"dpkg", "--root=%ROOT", "-S", "%PATH"},
		verify: []string{"dpkg", "--root=%ROOT", "-V"},
	},
	{
		name: "rpm", format: "rpm",
		start: func(root string) error { return makeFiles(root, nil, "var/lib/rpm") },
		take: func(root string, files []string) []string {
			return append([]string{"rpm", "--root", root, "--force-debian", "--noscripts", "--nosignature", "-U"}, files...)
		},
		list:   []string{"rpm", "--root", "%ROOT", "-qa"},
		owns:   []string{"rpm", "--root", "%ROOT", "-qf", "%PATH"},
		verify: []string{"rpm", "--root", "%ROOT", "-Va", "--nodeps", "--noscripts"},
	},
	{
		name: "pacman", format: "pacman",
		start: func(root string) error {
			return makeFiles(root, map[string]string{"bench.conf": "[options]\nArchitecture = x86_64\nSigLevel = Never\nLocalFileSigLevel = Never\n"},
				"var/lib/pacman", "var/cache/pacman/pkg", "etc/pacman.d/hooks", "var/log")
		},
		take: func(root string, files []string) []string {
			return append(pacmanOn(root, "--noconfirm", "--noprogressbar", "--noscriptlet", "-U"), files...)
		},
		list:   pacmanOn("%ROOT", "-Q"),
		owns:   pacmanOn("%ROOT", "-Qo", "%PATH"),
		verify: pacmanOn("%ROOT", "-Qkkq"),
	},
}

func pacmanOn(root string, args ...string) []string {
	return append([]string{"pacman", "--root", root, "--dbpath", root + "/var/lib/pacman", "--cachedir", root + "/var/cache/pacman/pkg",
		"--hookdir", root + "/etc/pacman.d/hooks", "--logfile", root + "/var/log/pacman.log", "--config", root + "/bench.conf"}, args...)
}

// makeFiles makes files with their text, and folders, below root.
func makeFiles(root string, files map[string]string, folders ...string) error {
	for name := range files {
		folders = append(folders, filepath.Dir(name))
	}
	for _, f := range folders {
		if err := os.MkdirAll(filepath.Join(root, f), 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// ours is the call of pkgtool on a root.
func (b *bench) ours(root string, args ...string) []string {
	return append([]string{b.pkgtool, "--quiet", "--root", root}, args...)
}

// fresh makes root a system of ours with nothing installed that knows the
// repository of a set.
func (b *bench) fresh(root, set string) error {
	if err := remove(root); err != nil {
		return err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	return b.connect(root, set)
}

// connect makes the repository of a set the one that root uses.
func (b *bench) connect(root, set string) error {
	return data.Connect(root, b.dataset.Repository(set), b.dataset.Repository(data.Base))
}

// installed makes root a system of ours with the packages installed, in two
// transactions, as on any system that has been in use: then the tree that the
// next one brings up to date is there.
func (b *bench) installed(ctx context.Context, root string, more ...string) error {
	if err := b.fresh(root, data.Base); err != nil {
		return err
	}
	last := b.dataset.Wanted[len(b.dataset.Wanted)-1]
	for _, names := range [][]string{append(b.dataset.Wanted[:len(b.dataset.Wanted)-1:len(b.dataset.Wanted)-1], more...), {last}} {
		args := b.ours(root, append([]string{"install", "--yes"}, names...)...)
		if err := command(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// copyOf makes dst an exact copy of a root, hard links and all.
func copyOf(ctx context.Context, src, dst string) error {
	if err := remove(dst); err != nil {
		return err
	}
	return command(ctx, "cp", "-a", src, dst)
}
