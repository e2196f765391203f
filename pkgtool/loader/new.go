package loader

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"ashlar/iso/tree"
	"ashlar/pkgtool/fault"
	"ashlar/signing/secureboot"
)

// New returns the files of a new EFI system partition: GRUB for UEFI (BIOS has it
// elsewhere), its configuration, and the entry of a generation that has nothing
// to come back to. root is the system, cmdline the text of [CmdlinePath]. With a
// key all is signed; nil is none.
func New(ctx context.Context, root fs.FS, generation int, cmdline string, key *secureboot.Key) ([]tree.Entry, error) {
	options, err := kernelOptions(cmdline)
	if err != nil {
		return nil, err
	}
	usr, err := fs.Sub(root, "usr")
	if err != nil {
		return nil, err
	}
	k, err := findKernel(usr, options)
	if err != nil {
		return nil, err
	}
	e := k.entry(generation, options)
	initrd, err := k.ramdisk(ctx)
	if err != nil {
		return nil, err
	}
	password, err := readPassword(root)
	if err != nil {
		return nil, err
	}
	items, err := menu([]*Entry{e}, 0, password)
	if err != nil {
		return nil, err
	}
	image := plainImage
	if key != nil {
		image = signedImage
	}
	efi, err := fs.ReadFile(usr, image)
	if err != nil {
		return nil, fault.Mark(err, fault.Usage, "package grub must be among the packages")
	}
	files := map[string][]byte{
		MarkerPath: nil, ConfigPath: []byte(Config), menuPath("a"): items,
		strings.TrimPrefix(e.Kernel, "/"): k.image, strings.TrimPrefix(e.Initrd, "/"): initrd,
	}
	if key != nil {
		for _, name := range slices.Collect(maps.Keys(files)) {
			if files[name+signature], err = sign(key, files[name]); err != nil {
				return nil, err
			}
		}
		if efi, err = key.IntoGRUB(efi); err != nil {
			return nil, err
		}
	}
	files[LoaderPath] = efi
	files[StatePath] = State{Menu: "a", Generation: generation, Tries: -1}.encode()
	files[entriesDir+"/"+entryName(generation)] = e.encode()
	var entries []tree.Entry
	for name, content := range files {
		entries = append(entries, tree.Entry{Path: name, Perm: 0o644, Size: int64(len(content)), Open: tree.Bytes(content)})
	}
	return entries, nil
}

// entry is how a kernel starts a generation.
func (k *Kernel) entry(generation int, options string) *Entry {
	return &Entry{Generation: generation, Release: k.Release, Options: options,
		Title:  fmt.Sprintf("%s, generation %d, kernel %s", prettyName(k.usr), generation, k.Release),
		Kernel: fmt.Sprintf("/%s/linux-%x", filesDir, sha256.Sum256(k.image)), Initrd: fmt.Sprintf("/%s/initrd-%s", filesDir, k.digest)}
}

// kernelOptions checks the kernel's command line and adds what a machine needs
// that comes back by itself.
func kernelOptions(text string) (string, error) {
	options := strings.Join(strings.Fields(text), " ")
	if options == "" {
		return "", fault.Errorf(fault.Usage, "/%s is empty; it must say root=UUID=... at least", CmdlinePath)
	}
	// A start that ends in a panic, or in systemd's crash, is one that failed: the next
	// one counts.
	for _, option := range []string{"panic=30", "systemd.crash_reboot=yes"} {
		if key, _, _ := strings.Cut(option, "="); !strings.Contains(" "+options+" ", " "+key+"=") {
			options += " " + option
		}
	}
	_, err := quote(options)
	return options, err
}
