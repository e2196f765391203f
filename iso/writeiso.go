package iso

import (
	"bytes"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"ashlar/iso/fat"
	"ashlar/iso/hybrid"
	"ashlar/iso/iso9660"
	"ashlar/iso/tree"
	"ashlar/pkgtool/pkgfile"
)

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

func (a *assembly) writeISO(o *output) error {
	root, err := a.squashfs()
	if err != nil {
		return err
	}
	defer root.Close()
	a.Progress("assemble the ISO")
	loader, err := byName(a.Tools, a.Image.Bootloader)
	if err != nil {
		return err
	}
	code, err := read(loader, bootDir+"boot_hybrid.img", maxBootFile)
	if err != nil {
		return err
	}
	entries, err := a.mediumEntries(loader, root)
	if err != nil {
		return err
	}
	image, err := iso9660.New(entries, iso9660.Options{
		VolumeID: a.Image.Volume, Publisher: "ASHLAR", Application: "PKGTOOL", Time: time.Unix(a.epoch, 0),
		Boot: []iso9660.Boot{
			{Path: corePath, Platform: iso9660.BIOS, LoadSectors: coreLoadSectors, BootInfoTable: true, Patch: hybrid.PatchCore},
			{Path: espPath, Platform: iso9660.EFI},
		}})
	if err != nil {
		return err
	}
	coreSector, _, _ := image.Place(corePath)
	espSector, espSize, _ := image.Place(espPath)
	head, tail, err := hybrid.Disk{ISOSize: image.Size(), BootCode: code, CoreSector: coreSector,
		ESPSector: espSector, ESPSize: espSize, ID: hybrid.NewGUID(string(a.record))}.Frame()
	if err != nil {
		return err
	}
	if err := image.Write(a.ctx, o, head); err != nil {
		return err
	}
	_, err = o.Write(tail)
	return err
}

func (a *assembly) mediumEntries(loader *pkgfile.Package, root *os.File) ([]tree.Entry, error) {
	core, err := read(loader, bootDir+"eltorito.img", maxBootFile)
	if err != nil {
		return nil, err
	}
	esp, err := a.systemPartition(loader)
	if err != nil {
		return nil, err
	}
	vmlinuz, ram, err := a.bootFiles()
	if err != nil {
		return nil, err
	}
	squash, err := a.rootFile(root)
	if err != nil {
		return nil, err
	}
	about, err := a.about("about/")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{ManifestName: a.record, corePath: core, espPath: esp, kernelPath: vmlinuz, initrdPath: ram, menuPath: a.grubConfig()}
	if err := a.secureFiles(files); err != nil {
		return nil, err
	}
	entries := append(append(about, squash), a.medium...)
	for _, p := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, a.file(p, 0o444, files[p]))
	}
	return entries, nil
}

// rootFile is the root image as a file.
func (a *assembly) rootFile(root *os.File) (tree.Entry, error) {
	info, err := root.Stat()
	if err != nil {
		return tree.Entry{}, err
	}
	return tree.Entry{Path: rootPath, Perm: 0o444, ModTime: a.epoch, Size: info.Size(), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(root, 0, info.Size())), nil
	}}, nil
}

// systemPartition returns the EFI system partition.
func (a *assembly) systemPartition(loader *pkgfile.Package) ([]byte, error) {
	files, err := a.systemFiles(loader)
	if err != nil {
		return nil, err
	}
	partition, err := fat.New(files, fat.Options{Label: "ASHLAR-ESP", VolumeID: 0x41534c52, Time: time.Unix(a.epoch, 0)})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = partition.Write(a.ctx, &b)
	return b.Bytes(), err
}
