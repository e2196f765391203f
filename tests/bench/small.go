package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"

	"golang.org/x/sync/errgroup"
)

// smallPackages is how many synthetic packages are indexed; each holds one file
// of a few hundred bytes, and requires and provides something.
const smallPackages = 30_000

// fewPackages is how many of them repo-add gets: it takes a tenth of a second
// for each.
const fewPackages = 300

func smallName(i int) string { return fmt.Sprintf("small%05d", i) }

func smallText(i int) string {
	return strings.Repeat(fmt.Sprintf("This is file %d of the benchmark.\n", i), 10)
}

// small makes the synthetic packages in every format, each once, and returns
// their folder.
func (b *bench) small(ctx context.Context, key *signing.PrivateKey) (string, error) {
	dir := filepath.Join(b.dataDir, "small")
	for _, format := range []struct {
		name  string
		count int
		step  int
		make  func(into string, i int) error
	}{
		{"ashlar", smallPackages, 1, func(into string, i int) error { return smallOurs(ctx, into, i, key) }},
		{"deb", smallPackages, 1, smallDeb},
		{"pacman", fewPackages, 1, smallPacman},
		{"rpm", smallPackages, 1000, func(into string, i int) error { return smallRPMs(ctx, into, i, i+1000) }},
	} {
		into, done := filepath.Join(dir, format.name), filepath.Join(dir, format.name+".complete")
		if _, err := os.Stat(done); err == nil {
			continue
		}
		b.say("making %d small packages for %s", format.count, format.name)
		if err := errors.Join(remove(into), os.MkdirAll(into, 0o755)); err != nil {
			return "", err
		}
		var group errgroup.Group
		group.SetLimit(runtime.NumCPU())
		for i := 0; i < format.count && ctx.Err() == nil; i += format.step {
			group.Go(func() error { return format.make(into, i) })
		}
		if err := errors.Join(group.Wait(), ctx.Err()); err != nil {
			return "", err
		}
		if err := os.WriteFile(done, nil, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func smallOurs(ctx context.Context, dir string, i int, key *signing.PrivateKey) error {
	m := pkgfile.Manifest{Format: pkgfile.FormatVersion, Name: smallName(i), Version: "1.0.0", Release: 1, Arch: "x86_64", Upstream: "1.0.0",
		Summary: "A small package of the benchmark", License: "MIT", Recipe: "small", Requires: []string{smallName(i / 2)}, Provides: []string{fmt.Sprintf("cmd(small%d)", i)},
		Provenance: pkgfile.Provenance{Action: strings.Repeat("ab", 32), Origin: "source", Epoch: 1767225600}}
	inputs := []pkgfile.Input{}
	for _, folder := range []string{"usr", "usr/share", "usr/share/small"} {
		inputs = append(inputs, pkgfile.Input{File: pkgfile.File{Path: folder, Type: pkgfile.TypeDir, Mode: 0o755, Owner: "root", Group: "root"}})
	}
	inputs = append(inputs, pkgfile.Input{File: pkgfile.File{Path: "usr/share/small/" + smallName(i), Type: pkgfile.TypeFile, Mode: 0o644, Owner: "root", Group: "root"},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(smallText(i))), nil }})
	var out bytes.Buffer
	if _, err := pkgfile.Write(ctx, &out, m, inputs, pkgfile.Options{Signers: []*signing.PrivateKey{key}}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, m.FileName()), out.Bytes(), 0o644)
}

// tarball packs files, given as name and content.
func tarball(files ...string) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		if err := t.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(t, files[i+1]); err != nil {
			return nil, err
		}
	}
	err := errors.Join(t.Close(), z.Close())
	return out.Bytes(), err
}

func smallDeb(dir string, i int) error {
	control, err := tarball("./control", fmt.Sprintf("Package: %s\nVersion: 1.0.0-1\nArchitecture: amd64\nMaintainer: Benchmark <root@localhost>\nDepends: %s\nProvides: cmd-small%d\nDescription: A small package of the benchmark\n",
		smallName(i), smallName(i/2), i))
	if err != nil {
		return err
	}
	content, err := tarball("./usr/share/small/"+smallName(i), smallText(i))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, member := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", control}, {"data.tar.gz", content}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, 0, 0, 0, "100644", len(member.data))
		out.Write(member.data)
		if len(member.data)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return os.WriteFile(filepath.Join(dir, smallName(i)+"_1.0.0-1_amd64.deb"), out.Bytes(), 0o644)
}

func smallPacman(dir string, i int) error {
	info := fmt.Sprintf("pkgname = %s\npkgbase = %s\npkgver = 1.0.0-1\npkgdesc = A small package of the benchmark\nbuilddate = 1767225600\npackager = Benchmark <root@localhost>\nsize = %d\narch = x86_64\ndepend = %s\nprovides = cmd-small%d\n",
		smallName(i), smallName(i), len(smallText(i)), smallName(i/2), i)
	data, err := tarball(".PKGINFO", info, "usr/share/small/"+smallName(i), smallText(i))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, smallName(i)+"-1.0.0-1-x86_64.pkg.tar.gz"), data, 0o644)
}

// smallRPMs makes many packages of one specification.
func smallRPMs(ctx context.Context, into string, first, end int) error {
	top := filepath.Join(filepath.Dir(into), fmt.Sprintf("rpmbuild-%d", first))
	defer remove(top)
	var spec, install strings.Builder
	fmt.Fprintf(&spec, "Name: all%d\nVersion: 1.0.0\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: x86_64\nAutoReqProv: no\n%%description\nx\n", first)
	for i := first; i < end; i++ {
		fmt.Fprintf(&spec, "%%package -n %s\nSummary: A small package of the benchmark\nRequires: %s\nProvides: cmd-small%d\n%%description -n %s\nx\n%%files -n %s\n/usr/share/small/%s\n",
			smallName(i), smallName(i/2), i, smallName(i), smallName(i), smallName(i))
		fmt.Fprintf(&install, "printf '%%s' '%s' > %%{buildroot}/usr/share/small/%s\n", smallText(i), smallName(i))
	}
	fmt.Fprintf(&spec, "%%install\nmkdir -p %%{buildroot}/usr/share/small\n%s", install.String())
	if err := os.MkdirAll(top, 0o755); err != nil {
		return err
	}
	file := filepath.Join(top, "small.spec")
	if err := os.WriteFile(file, []byte(spec.String()), 0o644); err != nil {
		return err
	}
	return command(ctx, "rpmbuild", "-bb", "--quiet", "--target", "x86_64", "--define", "_topdir "+top, "--define", "_rpmdir "+into, "--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
		"--define", "__os_install_post %{nil}", "--define", "debug_package %{nil}", "--define", "_binary_payload w1.gzdio", file)
}
