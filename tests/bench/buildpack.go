package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ashlar/tests/bench/data"
	"ashlar/tests/bench/measure"
)

// packed are the trees that are packed: one large package, and many small files.
var packed = []struct{ what, set, name string }{
	{"a kernel", data.Base, "linux-image-6.1.0-50-amd64"},
	{"many small files", data.Base, "python3-django"},
}

// pack measures how fast files become a package.
func (b *bench) pack(ctx context.Context) error {
	d, err := b.data(ctx)
	if err != nil {
		return err
	}
	mounted, err := b.mount(ctx, memory)
	if err != nil {
		return err
	}
	var failed []error
	for _, p := range packed {
		i := slices.IndexFunc(d.Packages[p.set], func(e data.Entry) bool { return e.Name == p.name })
		if i < 0 {
			return fmt.Errorf("the dataset has no package %s", p.name)
		}
		entry := d.Packages[p.set][i]
		group := fmt.Sprintf("packing %s, %.0f MB in %d files", p.what, mega(entry.Size), entry.Files)
		failed = append(failed, b.packTree(ctx, group, d.Path(p.set, "trees", p.name), filepath.Join(mounted, "pack"), entry.Size))
	}
	return errors.Join(failed...)
}

// packTree packs one tree, copied to dir, with every tool at the same level of
// zstd, and all cores where a tool can use them.
func (b *bench) packTree(ctx context.Context, group, from, dir string, size int64) error {
	tree, debian, out := filepath.Join(dir, "tree"), filepath.Join(dir, "debian"), filepath.Join(dir, "out")
	err := errors.Join(remove(dir), makeFiles(dir, map[string]string{
		"description.yaml": "schema: 1\nname: packed\nversion: 1.0.0\nsummary: What is packed\n",
		"packed.spec":      packSpec,
		"control":          "Package: packed\nVersion: 1.0.0-1\nArchitecture: amd64\nMaintainer: Benchmark <root@localhost>\nDescription: What is packed\n",
		".PKGINFO":         "pkgname = packed\npkgbase = packed\npkgver = 1.0.0-1\npkgdesc = What is packed\narch = x86_64\n",
	}), copyOf(ctx, from, tree))
	if err != nil {
		return err
	}
	// dpkg-deb wants its own folder in the tree, with the sums that dh_md5sums makes.
	if err := command(ctx, "sh", "-c", `set -e; cp -al "$1" "$2"; mkdir "$2/DEBIAN"; cp "$3" "$2/DEBIAN"; chmod 0755 "$2/DEBIAN"`, "sh", tree, debian, filepath.Join(dir, "control")); err != nil {
		return err
	}
	empty := func(context.Context) error { return errors.Join(remove(out), os.Mkdir(out, 0o755)) }
	level := fmt.Sprint(data.Level)
	env := []string{"ASHLAR_KEYS=" + filepath.Join(dir, "keys"), "LC_ALL=C.UTF-8", "LEVEL=" + level}
	key := []string{b.pkgtool, "--quiet", "key", "generate", "--name", "Benchmark", "--email", "bench@example.org"}
	if err := command(ctx, "env", append(slices.Clone(env), key...)...); err != nil {
		return err
	}
	cases := []measure.Case{
		{Name: "tar | zstd -T2", Floor: true, Args: shell(`tar --sort=name --owner=0 --group=0 --numeric-owner -cf - -C "$1" . | zstd -q -"$LEVEL" -T2 -o "$2/all.tar.zst"`, tree, out)},
		{Name: "tar | zstd -T2, level 1", Args: shell(`tar --sort=name --owner=0 --group=0 --numeric-owner -cf - -C "$1" . | zstd -q -1 -T2 -o "$2/all.tar.zst"`, tree, out)},
		{Name: "pkgtool pkg create", Goal: "1.25, ahead of the three",
			Args: []string{b.pkgtool, "--quiet", "pkg", "create", tree, "--level", level, "--description", filepath.Join(dir, "description.yaml"), "--output", out}},
		{Name: "dpkg-deb, md5sums", Args: shell(`cd "$1"; find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums
dpkg-deb --nocheck -Zzstd -z"$LEVEL" --root-owner-group -b . "$2/packed.deb" >/dev/null`, debian, out)},
		{Name: "rpmbuild", Args: []string{"rpmbuild", "-bb", "--quiet", "--nodeps", "--target", "x86_64", "--define", "_topdir " + out, "--define", "_tmppath " + out,
			"--define", "tree " + tree, "--define", "_binary_payload w" + level + "T2.zstdio", filepath.Join(dir, "packed.spec")}},
		{Name: "makepkg's way: bsdtar, mtree, zstd -T0", Args: shell(`cd "$1"; cp "$3" .PKGINFO
bsdtar -czf .MTREE --format=mtree --options='!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link' .PKGINFO *
bsdtar --no-fflags -cf - .MTREE .PKGINFO * | zstd -q -c -"$LEVEL" -T0 - >"$2/packed.pkg.tar.zst"; rm .MTREE .PKGINFO`, tree, out, filepath.Join(dir, ".PKGINFO"))},
	}
	for i := range cases {
		cases[i].Prepare, cases[i].Env = empty, env
	}
	sizes := make([]int64, len(cases))
	for i := range cases {
		cases[i].Check = func([]byte) (err error) {
			if sizes[i], err = largest(out); err == nil && sizes[i] < size/20 {
				err = fmt.Errorf("the package has only %d bytes", sizes[i])
			}
			return err
		}
	}
	before := len(b.report.Results)
	err = b.group(ctx, group, cases)
	for i, r := range b.report.Results[before:] {
		if r.Problem == "" {
			b.fact(group, r.Name, "", "%.0f MB/s, a package of %.1f MB", mega(size)/r.Median, mega(sizes[i]))
		}
	}
	return errors.Join(err, remove(dir))
}

// packSpec lets rpmbuild pack a tree as it is: nothing is stripped, compressed
// again or looked at for dependencies, and the tree comes into the build root as links.
const packSpec = `%global __os_install_post %{nil}
%global debug_package %{nil}
%global _build_id_links none
%global _missing_build_ids_terminate_build 0
%global __check_files %{nil}
Name: packed
Version: 1.0.0
Release: 1
Summary: What is packed
License: see /usr/share/doc
BuildArch: x86_64
AutoReqProv: no
%description
What is packed
%install
mkdir -p %{buildroot}
cp -al %{tree}/. %{buildroot}/
%files
%defattr(-,root,root,-)
/*
`

// largest is the size of the largest file in dir.
func largest(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size = max(size, info.Size())
		}
		return err
	})
	return size, err
}
