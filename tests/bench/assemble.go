package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ashlar/iso"
	"ashlar/pkgtool/pkgfile"
	"ashlar/tests/bench/measure"
)

// assembleArgument lets this program assemble an ISO and end.
const assembleArgument = "assemble-iso"

// definitions is the folder of the images' definitions.
const definitions = "iso/images"

// assembleLevels are what our ISO is compressed with.
var assembleLevels = []string{"better", "best", "default"}

// assembleCalls carries out the calls of this program that assemble makes, and
// ends the process; in any other call it does nothing.
func assembleCalls() {
	if len(os.Args) != 5 || os.Args[1] != assembleArgument {
		return
	}
	if err := assembleISO(context.Background(), os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// assembleISO makes the ISO that a manifest describes from the packages beside it,
// without any cache.
func assembleISO(ctx context.Context, manifest, level, output string) error {
	m, err := iso.ReadManifest(manifest)
	if err != nil {
		return err
	}
	image, err := iso.Read(filepath.Join(definitions, m.Name+".yaml"))
	if err != nil {
		return err
	}
	image.Compression, image.SecureBoot, image.Packages = level, false, nil
	for _, p := range m.Packages {
		image.Packages = append(image.Packages, p.Name)
	}
	request := iso.Request{Image: image, Output: output}
	for _, list := range []struct {
		names []iso.ManifestPackage
		into  *[]*pkgfile.Package
	}{{m.Packages, &request.Packages}, {m.Tools, &request.Tools}} {
		for _, p := range list.names {
			file := fmt.Sprintf("%s-%s.%s.ashlar", p.Name, p.Version, p.Arch)
			opened, err := pkgfile.OpenFile(filepath.Join(filepath.Dir(manifest), "packages", file))
			if err != nil {
				return err
			}
			defer opened.Close()
			*list.into = append(*list.into, opened)
		}
	}
	_, err = iso.Build(ctx, request)
	return err
}

// builtImage is the manifest of the largest image that was built.
func (b *bench) builtImage() (string, error) {
	for _, name := range []string{"server", "minimal"} {
		manifest := filepath.Join(b.images, "ashlar-"+name+".json")
		if _, err := os.Stat(manifest); err == nil {
			return manifest, nil
		}
	}
	return "", fmt.Errorf("there is no image in %s; build one first: make iso IMAGE=server", b.images)
}

// assemble measures how packages become an ISO, beside mksquashfs and xorriso,
// which get the same files unpacked.
func (b *bench) assemble(ctx context.Context) error {
	manifest, err := b.builtImage()
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dataDir, "assemble")
	defer remove(dir)
	if err := errors.Join(remove(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	model, tree := filepath.Join(dir, "model.iso"), filepath.Join(dir, "tree")
	if err := assembleISO(ctx, manifest, "default", model); err != nil {
		return err
	}
	if err := unpackISO(ctx, model, dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	rival := filepath.Join(dir, "rival.iso")
	outputs := []string{rival}
	cases := []measure.Case{{Name: "mksquashfs zstd 15, xorriso", Floor: true, Args: shell(rivalISO, dir, rival)}}
	for _, level := range assembleLevels {
		output := filepath.Join(dir, level+".iso")
		outputs = append(outputs, output)
		c := measure.Case{Name: "pkgtool, " + level, Args: []string{self, assembleArgument, manifest, level, output}}
		if level == "better" { // the default of images
			c.Goal = "0.6"
		}
		c.Check = func([]byte) error {
			seen := filepath.Join(dir, "seen")
			return errors.Join(remove(seen), unpackISO(ctx, output, seen), same(tree, filepath.Join(seen, "tree")), remove(seen))
		}
		cases = append(cases, c)
	}
	for i := range cases {
		cases[i].Prepare = func(context.Context) error { return remove(outputs[i]) }
	}
	m, err := iso.ReadManifest(manifest)
	if err != nil {
		return err
	}
	group := fmt.Sprintf("the ISO of %s, %d packages", m.Name, len(m.Packages))
	before := len(b.report.Results)
	if err := b.group(ctx, group, cases); err != nil {
		return err
	}
	return b.assembleFacts(group, b.report.Results[before:], outputs)
}

// assembleFacts tells sizes and memory as multiples of the first result's.
func (b *bench) assembleFacts(group string, results []measure.Result, outputs []string) error {
	first, err := os.Stat(outputs[0])
	if err != nil {
		return err
	}
	for i, r := range results {
		info, err := os.Stat(outputs[i])
		if err != nil {
			continue // the table says why
		}
		goal := ""
		if i == 1 {
			goal = "size 1.08, memory 0.3"
		}
		b.fact(group, r.Name, goal, "%.1f MB, size %.3f, processor time %.2f, memory %.2f", mega(info.Size()),
			float64(info.Size())/float64(first.Size()), r.CPU/results[0].CPU, float64(r.Memory)/float64(results[0].Memory))
	}
	return nil
}

// unpackISO makes the folders medium and tree in dir: the medium, and the root on it.
func unpackISO(ctx context.Context, image, dir string) error {
	medium := filepath.Join(dir, "medium")
	if err := os.MkdirAll(medium, 0o755); err != nil {
		return err
	}
	return errors.Join(
		command(ctx, "xorriso", "-osirrox", "on:auto_chmod_on", "-indev", image, "-extract", "/", medium),
		command(ctx, "unsquashfs", "-q", "-n", "-d", filepath.Join(dir, "tree"), filepath.Join(medium, "live/root.squashfs")),
		command(ctx, "chmod", "-R", "u+w", medium),
	)
}

// rivalISO makes an ISO that starts the same ways from the folders of unpackISO.
const rivalISO = `set -e
rm -f "$1/medium/live/root.squashfs"
mksquashfs "$1/tree" "$1/medium/live/root.squashfs" -comp zstd -Xcompression-level 15 -noappend -quiet -no-progress >/dev/null
xorriso -as mkisofs -quiet -R -V ASHLAR -o "$2" --grub2-mbr "$1/model.iso" \
	-b boot/grub/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info \
	-eltorito-alt-boot -e boot/grub/esp.img -no-emul-boot -isohybrid-gpt-basdat "$1/medium" 2>/dev/null`
