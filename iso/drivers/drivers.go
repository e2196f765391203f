// Package drivers chooses the kernel modules of an initial RAM file system.
//
// In: a kernel's folder of modules as depmod describes it (modules.dep,
// modules.alias, modules.builtin). Out: entries of a file tree below modules/,
// from which live-init loads: some always, the others when a device or the
// kernel asks for them by an alias.
//
// The layout, read by iso/liveinit/drivers.go:
//
//	modules/NAME.ko   a module; .ko.xz and .ko.zst if the kernel's are compressed
//	modules/load      names of those that are always loaded, one on a line
//	modules/needs     FILE NAME..., a module's file and what must be loaded first
//	modules/alias     PATTERN NAME, as modules.alias has them
package drivers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	"ashlar/iso/tree"
)

// Storage is what a medium or a root can stand on, as folders of a kernel's
// modules: controllers, disks, arrays, encryption and file systems.
var Storage = []string{
	"arch/x86/crypto", "crypto", "lib",
	"drivers/ata", "drivers/block", "drivers/cdrom", "drivers/hv", "drivers/md", "drivers/message/fusion", "drivers/mmc",
	"drivers/nvme/host", "drivers/scsi", "drivers/usb/host", "drivers/usb/storage", "drivers/virtio",
	"fs/btrfs", "fs/ext4", "fs/fat", "fs/isofs", "fs/nls", "fs/overlayfs", "fs/squashfs", "fs/xfs",
}

// Kernel is what depmod says of a kernel's modules.
type Kernel struct {
	read    func(name string) ([]byte, error)
	needs   map[string][]string // file: the files it needs, nearest first
	files   map[string]string   // name: file
	builtin map[string]bool
	aliases [][2]string // pattern, name
}

// Open reads the lists of a kernel. read returns a file of the folder
// usr/lib/modules/RELEASE, or an error that is fs.ErrNotExist. A kernel without
// lists has no modules, which is no error.
func Open(read func(name string) ([]byte, error)) (*Kernel, error) {
	k := &Kernel{read: read, needs: map[string][]string{}, files: map[string]string{}, builtin: map[string]bool{}}
	for list, line := range map[string]func(string){
		"modules.dep": func(line string) {
			if file, rest, ok := strings.Cut(line, ":"); ok {
				k.needs[file] = strings.Fields(rest)
				k.files[moduleName(file)] = file
			}
		},
		"modules.builtin": func(line string) { k.builtin[moduleName(line)] = true },
		"modules.alias": func(line string) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "alias" {
				k.aliases = append(k.aliases, [2]string{f[1], underscores(f[2])})
			}
		},
	} {
		text, err := read(list)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("modules of the kernel: %w", err)
		}
		for _, l := range strings.Split(string(text), "\n") {
			line(strings.TrimSpace(l))
		}
	}
	return k, nil
}

// Entries returns the modules in names, which are always loaded, and those of
// the folders, which are loaded when something asks for them, with all that
// they need. A name that the kernel has built in is left out; one that it does
// not have is an error.
func (k *Kernel) Entries(names, folders []string, epoch int64) ([]tree.Entry, error) {
	chosen := map[string]bool{}
	var load []string
	for _, name := range names {
		name = underscores(name)
		switch file, ok := k.files[name]; {
		case ok:
			k.choose(file, chosen)
			load = append(load, name)
		case !k.builtin[name]:
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
	}
	for file := range k.needs {
		for _, folder := range folders {
			if strings.HasPrefix(file, "kernel/"+folder+"/") {
				k.choose(file, chosen)
			}
		}
	}
	if len(chosen) == 0 {
		return nil, nil
	}
	var entries []tree.Entry
	add := func(name string, content []byte) {
		entries = append(entries, tree.Entry{Path: "modules/" + name, Perm: 0o644, ModTime: epoch, Size: int64(len(content)), Open: tree.Bytes(content)})
	}
	var needs, alias strings.Builder
	sorted := make([]string, 0, len(chosen))
	for file := range chosen {
		sorted = append(sorted, file)
	}
	sort.Strings(sorted)
	for _, file := range sorted {
		module, err := k.module(file)
		if err != nil {
			return nil, err
		}
		module.ModTime = epoch
		entries = append(entries, module)
		needs.WriteString(inRAM(file))
		// depmod names what is nearest first; what they need stands at the end.
		for i := len(k.needs[file]) - 1; i >= 0; i-- {
			needs.WriteString(" " + moduleName(k.needs[file][i]))
		}
		needs.WriteString("\n")
	}
	for _, a := range k.aliases {
		if chosen[k.files[a[1]]] {
			alias.WriteString(a[0] + " " + a[1] + "\n")
		}
	}
	add("load", []byte(strings.Join(load, "\n")))
	add("needs", []byte(needs.String()))
	add("alias", []byte(alias.String()))
	return entries, nil
}

// module is a module in its place. Its content is read again when it is written,
// for all modules together are large.
func (k *Kernel) module(file string) (tree.Entry, error) {
	content, err := k.read(file)
	return tree.Entry{Path: "modules/" + inRAM(file), Perm: 0o644, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		content, err := k.read(file)
		return io.NopCloser(bytes.NewReader(content)), err
	}}, err
}

// choose adds a file and all that it needs.
func (k *Kernel) choose(file string, chosen map[string]bool) {
	if chosen[file] {
		return
	}
	chosen[file] = true // before what it needs: a circle must not hang us
	for _, need := range k.needs[file] {
		k.choose(need, chosen)
	}
}

// inRAM is the name of a module's file below modules/.
func inRAM(file string) string {
	_, suffix, _ := strings.Cut(path.Base(file), ".ko")
	return moduleName(file) + ".ko" + suffix
}

// moduleName is a module's name as the kernel spells it.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return underscores(name)
}

func underscores(name string) string { return strings.ReplaceAll(name, "-", "_") }
