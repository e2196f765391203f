// Package republish makes the next release of packages that are built: the same
// packages with a higher release number and other content in every program and
// library, for tests of updates that must not compile anything.
//
// In: a folder of packages and the repository they are published in. Out: a
// repository of the same name, with the same trust, that offers both releases.
// Never: change what it was given.
package republish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/signing"
)

// channel is what images are published to.
const channel = "stable"

// Mark stands at the end of every program and library of the next release.
const Mark = "\nnext release\n"

// Repository copies the repository published to dir, which must not exist, and
// publishes there the next release of every package of the named recipes that
// packages holds. The user's keys sign. It returns what it made, as
// name-version-release.
func Repository(ctx context.Context, packages, published, dir string, recipes ...string) (made []string, err error) {
	if out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", published, dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cp: %w: %s", err, out)
	}
	store, err := signing.OpenStore(signing.DefaultDir())
	if err != nil {
		return nil, err
	}
	key, err := store.Default()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(packages, "*"+pkgfile.MediaSuffix))
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "republish-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	found := map[string]bool{}
	var next []string
	for _, file := range files {
		path, recipe, err := release(ctx, file, work, key, recipes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if path != "" {
			found[recipe] = true
			next = append(next, path)
			made = append(made, strings.TrimSuffix(filepath.Base(path), pkgfile.MediaSuffix))
		}
	}
	for _, name := range recipes {
		if !found[name] {
			return nil, fmt.Errorf("%s has no package of recipe %s", packages, name)
		}
	}
	r, err := repo.Open(dir, repo.Options{Keys: signing.DefaultDir()})
	if err != nil {
		return nil, err
	}
	if _, err := r.Add(ctx, channel, next...); err != nil {
		return nil, err
	}
	_, err = r.Publish(ctx)
	return made, err
}

// release writes the next release of the package in file to a file below work.
// It returns "" for a package of other recipes, and for debugging symbols.
func release(ctx context.Context, file, work string, key *signing.PrivateKey, recipes []string) (path, recipe string, err error) {
	p, err := pkgfile.OpenFile(file)
	if err != nil {
		return "", "", err
	}
	defer p.Close()
	m := *p.Manifest()
	if !slices.Contains(recipes, m.Recipe) || strings.HasSuffix(m.Name, "-debug") {
		return "", "", nil
	}
	tree, err := os.MkdirTemp(work, "tree-")
	if err != nil {
		return "", "", err
	}
	if err := p.Extract(ctx, tree); err != nil {
		return "", "", err
	}
	before := fmt.Sprintf("%s-%d", m.Version, m.Release)
	m.Release++
	after := fmt.Sprintf("%s-%d", m.Version, m.Release)
	for _, list := range []*[]string{&m.Provides, &m.Requires, &m.Recommends, &m.Conflicts, &m.Supplements} {
		*list = slices.Clone(*list)
		for i, text := range *list {
			if at, ok := strings.CutSuffix(text, before); ok {
				(*list)[i] = at + after
			}
		}
	}
	// Kernels stand side by side, each in its own folder.
	rename := func(name string) string { return name }
	if m.InstallOnly {
		rename = func(name string) string {
			rest, ok := strings.CutPrefix(name, "usr/lib/modules/")
			if !ok {
				return name
			}
			folder, below, _ := strings.Cut(rest, "/")
			return strings.TrimSuffix("usr/lib/modules/"+strings.TrimSuffix(folder, fmt.Sprintf("-%d", m.Release-1))+fmt.Sprintf("-%d/", m.Release)+below, "/")
		}
	}
	var inputs []pkgfile.Input
	for _, f := range m.Files {
		from := filepath.Join(tree, f.Path)
		f.Path, f.Size, f.SHA256, f.Frame, f.Offset = rename(f.Path), 0, "", 0, 0
		if f.Type != pkgfile.TypeFile && f.Target != "" && !strings.HasPrefix(f.Target, "/") {
			f.Target = rename(f.Target)
		}
		inputs = append(inputs, pkgfile.Input{File: f, Open: func() (io.ReadCloser, error) { return openNext(from) }})
	}
	m.Files, m.Frames, m.InstalledSize = nil, nil, 0
	path = filepath.Join(work, fmt.Sprintf("%s-%s.%s%s", m.Name, after, m.Arch, pkgfile.MediaSuffix))
	out, err := os.Create(path)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, out.Close(), os.RemoveAll(tree)) }()
	_, err = pkgfile.Write(ctx, out, m, inputs, pkgfile.Options{Signers: []*signing.PrivateKey{key}})
	return path, m.Recipe, err
}

// openNext opens the next release's content of a file: programs, libraries and
// kernels have a mark at the end, which nobody reads.
func openNext(path string) (io.ReadCloser, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte("\x7fELF")) && !strings.HasSuffix(path, ".ko") || filepath.Base(path) == "vmlinuz" {
		data = append(data, Mark...)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}
