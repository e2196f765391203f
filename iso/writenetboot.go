package iso

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"time"

	"ashlar/iso/cpio"
	"ashlar/iso/tree"
)

// writeNetboot writes what a web or TFTP server offers to machines that start
// over the network. The root image travels as a second initial RAM file
// system, so the boot loader fetches it, and no network is needed before the
// system has started.
func (a *assembly) writeNetboot(o *output) error {
	root, err := a.squashfs()
	if err != nil {
		return err
	}
	defer root.Close()
	a.Progress("write the files for the network")
	vmlinuz, ram, err := a.bootFiles()
	if err != nil {
		return err
	}
	// The kernel wants what follows at a multiple of four; not every boot loader
	// sees to that.
	ram = append(ram, make([]byte, -len(ram)&3)...)
	squash, err := a.rootFile(root)
	if err != nil {
		return err
	}
	carrier, err := a.temporary()
	if err != nil {
		return err
	}
	defer carrier.Close()
	if err := cpio.Write(a.ctx, carrier, []tree.Entry{squash}); err != nil {
		return err
	}
	size, err := carrier.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	about, err := a.about("about/")
	if err != nil {
		return err
	}
	loaders, err := a.networkLoaders()
	if err != nil {
		return err
	}
	entries := append(append(about, loaders...), a.file("vmlinuz", 0o644, vmlinuz), a.file("initrd.img", 0o644, ram), a.file("manifest.json", 0o644, a.record),
		a.file("boot.ipxe", 0o644, a.Image.ipxe()), a.file("grub.cfg", 0o644, a.Image.netMenu()), a.file("pxelinux.cfg/default", 0o644, a.Image.pxelinux()),
		tree.Entry{Path: "root.img", Perm: 0o644, ModTime: a.epoch, Size: size, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(carrier, 0, size)), nil
		}})
	return writeTar(a.ctx, o, entries)
}

// networkLoaders are GRUB's images for machines that start over the network and
// are no iPXE; none where the boot loader's package has none.
func (a *assembly) networkLoaders() ([]tree.Entry, error) {
	loader, err := byName(a.Tools, a.Image.Bootloader)
	if err != nil {
		return nil, err
	}
	var entries []tree.Entry
	for _, name := range []string{"network.0", "network.efi"} {
		if loader.Manifest().File(bootDir+name) == nil {
			continue
		}
		image, err := read(loader, bootDir+name, maxBootFile)
		if err != nil {
			return nil, err
		}
		entries = append(entries, a.file(name, 0o644, image))
	}
	return entries, nil
}

// ipxe is a script for iPXE; it lies beside the files that it names.
func (m *Image) ipxe() []byte {
	return fmt.Appendf(nil, `#!ipxe
# %s
kernel vmlinuz initrd=initrd.img initrd=root.img %s
initrd --name initrd.img initrd.img
initrd --name root.img root.img
boot
`, m.Summary, m.Cmdline)
}

func (m *Image) netMenu() []byte {
	return fmt.Appendf(nil, `set timeout=%d
menuentry '%s' {
	linux vmlinuz %s
	initrd initrd.img root.img
}
`, *m.Timeout, m.Summary, m.Cmdline)
}

func (m *Image) pxelinux() []byte {
	return fmt.Appendf(nil, `DEFAULT ashlar
LABEL ashlar
	KERNEL vmlinuz
	INITRD initrd.img,root.img
	APPEND %s
`, m.Cmdline)
}

// writeTar writes entries as a tar of the PAX kind. Hard links come last, since
// the file that one names must be there.
func writeTar(ctx context.Context, w io.Writer, entries []tree.Entry) error {
	t, err := tree.Of(entries)
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	for _, links := range []bool{false, true} {
		for _, n := range t.Nodes {
			if n == t.Root || links != (n.Kind == tree.HardLink) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := writeMember(out, n); err != nil {
				return fmt.Errorf("tar: %s: %w", n.Path, err)
			}
		}
	}
	return out.Close()
}

var tarTypes = map[tree.Kind]byte{tree.File: tar.TypeReg, tree.Dir: tar.TypeDir, tree.Symlink: tar.TypeSymlink, tree.HardLink: tar.TypeLink,
	tree.CharDevice: tar.TypeChar, tree.BlockDevice: tar.TypeBlock, tree.FIFO: tar.TypeFifo}

func writeMember(out *tar.Writer, n *tree.Node) error {
	h := &tar.Header{Typeflag: tarTypes[n.Kind], Name: n.Path, Linkname: n.Target, Mode: int64(n.Perm), Uid: int(n.UID), Gid: int(n.GID),
		ModTime: time.Unix(n.ModTime, 0), Devmajor: int64(n.Major), Devminor: int64(n.Minor), Format: tar.FormatPAX}
	if n.IsDir() {
		h.Name += "/"
	}
	if n.Kind == tree.File {
		h.Size = n.Size
	}
	for name, value := range n.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+name] = string(value)
	}
	if err := out.WriteHeader(h); err != nil || n.Kind != tree.File {
		return err
	}
	r, err := n.Content()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(out, r)
	return err
}
