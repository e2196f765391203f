package iso

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"ashlar/iso/fat"
	"ashlar/iso/hybrid"
	"ashlar/iso/iso9660"
	"ashlar/iso/squashfs"
	"ashlar/iso/tree"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"
)

// Request says what to build.
type Request struct {
	Image    *Image
	Packages []*pkgfile.Package // of the live system, complete and without conflicts
	Tools    []*pkgfile.Package // the boot loader and live-init
	Files    []tree.Entry       // to add, for example a trust root
	Output   string             // path of the ISO; the manifest is beside it, with .json in place of .iso
	Cache    string             // folder; "" remembers nothing
	Workers  int                // compressing goroutines; 0 is one per core
	Progress func(step string)  // called when a step begins; may be nil
}

// Result is a finished image.
type Result struct {
	Path     string `json:"path"`
	Manifest string `json:"manifest"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	Cached   bool   `json:"cached"` // it was there already
}

// Build makes the image. Output and manifest are replaced atomically; when it
// fails, what was there before is still there.
func Build(ctx context.Context, r Request) (*Result, error) {
	if r.Progress == nil {
		r.Progress = func(string) {}
	}
	if r.Workers == 0 {
		r.Workers = runtime.NumCPU()
	}
	a, err := newAssembly(r)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", r.Image.Name, err)
	}
	res := &Result{Path: r.Output, Manifest: manifestPath(r.Output)}
	c := cache{r.Cache}
	if sha, ok := c.upToDate(r.Output, a.imageKey); ok {
		if st, err := os.Stat(r.Output); err == nil {
			if _, err := os.Stat(res.Manifest); err == nil {
				res.Size, res.SHA256, res.Cached = st.Size(), sha, true
				return res, nil
			}
		}
	}
	if err := a.run(ctx, c, res); err != nil {
		return nil, fmt.Errorf("image %s: %w", r.Image.Name, err)
	}
	return res, c.remember(r.Output, a.imageKey, res.SHA256)
}

func manifestPath(output string) string {
	if ext := filepath.Ext(output); ext == ".iso" {
		output = output[:len(output)-len(ext)]
	}
	return output + ".json"
}

// assembly is one build under way.
type assembly struct {
	Request
	additions []tree.Entry
	kernel    *kernel
	epoch     int64
	rootKey   string
	imageKey  string
}

func newAssembly(r Request) (*assembly, error) {
	a := &assembly{Request: r}
	p, err := byName(r.Packages, r.Image.Kernel)
	if err != nil {
		return nil, err
	}
	if a.kernel, err = findKernel(p); err != nil {
		return nil, err
	}
	for _, p := range r.Packages {
		a.epoch = max(a.epoch, p.Manifest().Provenance.Epoch)
	}
	if a.additions, err = r.Image.additions(); err != nil {
		return nil, err
	}
	a.additions = append(a.additions, r.Files...)
	for i := range a.additions {
		a.additions[i].ModTime = a.epoch
	}
	return a, a.makeKeys()
}

func (a *assembly) makeKeys() error {
	files, err := entryInputs(a.additions)
	if err != nil {
		return err
	}
	a.rootKey, err = key(map[string]any{"packages": packageInputs(a.Packages), "files": files, "compression": a.Image.Compression})
	if err != nil {
		return err
	}
	a.imageKey, err = key(map[string]any{"root": a.rootKey, "tools": packageInputs(a.Tools), "definition": a.Image})
	return err
}

func (a *assembly) run(ctx context.Context, c cache, res *Result) error {
	root, err := c.root(a.rootKey, func(f *os.File) error { return a.writeRoot(ctx, f) })
	if err != nil {
		return err
	}
	defer root.Close()
	a.Progress("assemble the ISO")
	manifest, err := a.Image.manifest(a.Packages, a.Tools, a.kernel, a.epoch)
	if err != nil {
		return err
	}
	medium, err := a.medium(ctx, root, manifest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(a.Output), 0o755); err != nil {
		return err
	}
	sum := sha256.New()
	err = durable.Write(a.Output, 0o644, func(w io.Writer) error {
		count := &counter{w: io.MultiWriter(w, sum)}
		err := medium.write(ctx, count)
		res.Size = count.n
		return err
	})
	if err != nil {
		return err
	}
	res.SHA256 = hex.EncodeToString(sum.Sum(nil))
	manifest.Image = &ManifestImage{filepath.Base(a.Output), res.Size, res.SHA256}
	text, err := manifest.JSON()
	if err != nil {
		return err
	}
	return durable.WriteFile(res.Manifest, text, 0o644)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// writeRoot writes the live system's root image.
func (a *assembly) writeRoot(ctx context.Context, f *os.File) error {
	a.Progress("compress the root file system")
	entries, err := rootTree(a.Image, a.Packages)
	if err != nil {
		return err
	}
	if entries, err = overlay(entries, a.additions); err != nil {
		return err
	}
	_, err = squashfs.Write(ctx, f, entries, squashfs.Options{
		Level: squashfs.Level(a.Image.Compression), Workers: a.Workers, Time: uint32(a.epoch)})
	return err
}

// medium is the image's layout.
type medium struct {
	image      *iso9660.Image
	head, tail []byte
}

func (m *medium) write(ctx context.Context, w io.Writer) error {
	if err := m.image.Write(ctx, w, m.head); err != nil {
		return err
	}
	_, err := w.Write(m.tail)
	return err
}

// Paths on the medium.
const (
	corePath   = "boot/grub/eltorito.img"
	espPath    = "boot/grub/esp.img"
	rootPath   = "live/root.squashfs"
	kernelPath = "boot/vmlinuz"
	initrdPath = "boot/initrd.img"
	menuPath   = "boot/grub/grub.cfg"
)

// coreLoadSectors is how much of GRUB's core a BIOS loads; the core loads the
// rest itself.
const coreLoadSectors = 4

func (a *assembly) medium(ctx context.Context, root *os.File, manifest *Manifest) (*medium, error) {
	loader, err := byName(a.Tools, a.Image.Bootloader)
	if err != nil {
		return nil, err
	}
	code, err := read(loader, bootDir+"boot_hybrid.img", maxBootFile)
	if err != nil {
		return nil, err
	}
	esp, err := a.systemPartition(ctx, loader)
	if err != nil {
		return nil, err
	}
	identity, err := manifest.JSON()
	if err != nil {
		return nil, err
	}
	entries, err := a.mediumEntries(ctx, loader, root, identity, esp)
	if err != nil {
		return nil, err
	}
	image, err := iso9660.New(entries, iso9660.Options{
		VolumeID: a.Image.Volume, Publisher: "ASHLAR", Application: "PKGTOOL", Time: time.Unix(a.epoch, 0),
		Boot: []iso9660.Boot{
			{Path: corePath, Platform: iso9660.BIOS, LoadSectors: coreLoadSectors, BootInfoTable: true, Patch: hybrid.PatchCore},
			{Path: espPath, Platform: iso9660.EFI},
		}})
	if err != nil {
		return nil, err
	}
	coreSector, _, _ := image.Place(corePath)
	espSector, espSize, _ := image.Place(espPath)
	m := &medium{image: image}
	m.head, m.tail, err = hybrid.Disk{ISOSize: image.Size(), BootCode: code, CoreSector: coreSector,
		ESPSector: espSector, ESPSize: espSize, ID: hybrid.NewGUID(string(identity))}.Frame()
	return m, err
}

func (a *assembly) mediumEntries(ctx context.Context, loader *pkgfile.Package, root *os.File, manifest, esp []byte) ([]tree.Entry, error) {
	core, err := read(loader, bootDir+"eltorito.img", maxBootFile)
	if err != nil {
		return nil, err
	}
	vmlinuz, err := a.kernel.image()
	if err != nil {
		return nil, err
	}
	starter, err := byName(a.Tools, a.Image.LiveInit)
	if err != nil {
		return nil, err
	}
	init, err := read(starter, liveInitPath, maxBootFile)
	if err != nil {
		return nil, err
	}
	ram, err := initrd(ctx, init, a.kernel, a.Image.Modules, a.epoch)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat()
	if err != nil {
		return nil, err
	}
	entries := []tree.Entry{{Path: rootPath, Perm: 0o444, ModTime: a.epoch, Size: info.Size(), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(root, 0, info.Size())), nil
	}}}
	for _, f := range []struct {
		path    string
		content []byte
	}{{ManifestName, manifest}, {corePath, core}, {espPath, esp}, {kernelPath, vmlinuz}, {initrdPath, ram}, {menuPath, a.Image.grubConfig()}} {
		entries = append(entries, tree.Entry{Path: f.path, Perm: 0o444, ModTime: a.epoch, Size: int64(len(f.content)), Open: tree.Bytes(f.content)})
	}
	return entries, nil
}

// systemPartition returns the EFI system partition: GRUB under the name that
// firmware looks for on a removable medium.
func (a *assembly) systemPartition(ctx context.Context, loader *pkgfile.Package) ([]byte, error) {
	efi, err := read(loader, bootDir+"BOOTX64.EFI", maxBootFile)
	if err != nil {
		return nil, err
	}
	partition, err := fat.New([]tree.Entry{{Path: "EFI/BOOT/BOOTX64.EFI", Size: int64(len(efi)), Open: tree.Bytes(efi)}},
		fat.Options{Label: "ASHLAR-ESP", VolumeID: 0x41534c52, Time: time.Unix(a.epoch, 0)})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = partition.Write(ctx, &b)
	return b.Bytes(), err
}
