package loader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"ashlar/iso/cpio"
	"ashlar/iso/drivers"
	"ashlar/iso/tree"
	"ashlar/pkgtool/fault"

	"github.com/klauspost/compress/zstd"
)

// What an installed system starts with, below /usr.
const (
	liveInit = "lib/ashlar/live-init"
	recovery = "lib/ashlar/recover"
)

// ramdiskFormat changes when the same programs make another file.
const ramdiskFormat = "ashlar initrd 1\n"

// Kernel is a kernel below /usr that can be started.
type Kernel struct {
	Release string // 6.1.170-ashlar-virt-1
	usr     fs.FS
	image   []byte
	digest  string            // of what its initial RAM file system is made of
	files   map[string][]byte // programs for what the root stands on, below /usr
}

// findKernel returns the newest kernel below /usr, with what it needs beside it to
// be started with options.
func findKernel(usr fs.FS, options string) (*Kernel, error) {
	images, err := fs.Glob(usr, "lib/modules/*/vmlinuz")
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, fault.Mark(errors.New("there is no kernel in it (usr/lib/modules/*/vmlinuz)"), fault.Usage, "install a kernel too: pkgtool install linux-virt")
	}
	newest := images[0]
	for _, image := range images[1:] {
		if naturalLess(path.Base(path.Dir(newest)), path.Base(path.Dir(image))) {
			newest = image
		}
	}
	k := &Kernel{Release: path.Base(path.Dir(newest)), usr: usr}
	if k.image, err = fs.ReadFile(usr, newest); err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write([]byte(ramdiskFormat))
	for _, name := range []string{newest, path.Dir(newest) + "/modules.dep", liveInit, recovery} {
		content, err := fs.ReadFile(usr, name)
		if err != nil && !(errors.Is(err, fs.ErrNotExist) && path.Base(name) == "modules.dep") {
			return nil, fault.Mark(err, fault.Usage, "install what a start needs: pkgtool install ashlar-loader")
		}
		sum := sha256.Sum256(content)
		h.Write(sum[:])
	}
	if k.files, err = programs(usr, options); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(k.files)) {
		sum := sha256.Sum256(k.files[name])
		h.Write(sum[:])
	}
	k.digest = fmt.Sprintf("%x", h.Sum(nil))
	return k, nil
}

// ramdisk makes the initial RAM file system: live-init, which finds the root,
// recover, which brings the system on it to rest, and the drivers of disks.
func (k *Kernel) ramdisk(ctx context.Context) ([]byte, error) {
	lists, err := drivers.Open(func(name string) ([]byte, error) { return fs.ReadFile(k.usr, "lib/modules/"+k.Release+"/"+name) })
	if err != nil {
		return nil, err
	}
	entries, err := lists.Entries(nil, drivers.Storage, 0)
	if err != nil {
		return nil, err
	}
	for name, from := range map[string]string{"init": liveInit, "recover": recovery} {
		content, err := fs.ReadFile(k.usr, from)
		if err != nil {
			return nil, err
		}
		entries = append(entries, tree.Entry{Path: name, Perm: 0o755, Size: int64(len(content)), Open: tree.Bytes(content)})
	}
	entries = append(entries, programEntries(k.files)...)
	entries = append(entries, tree.Entry{Path: "sbin/modprobe", Kind: tree.Symlink, Perm: 0o777, Target: "../init"},
		tree.Entry{Path: "dev/console", Kind: tree.CharDevice, Perm: 0o600, Major: 5, Minor: 1})
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, err
	}
	if err := cpio.Write(ctx, z, entries); err != nil {
		return nil, fmt.Errorf("initial RAM file system: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// naturalLess orders names by the numbers in them: 6.9 comes before 6.10.
func naturalLess(a, b string) bool {
	for a != "" && b != "" {
		x, restA := leading(a)
		y, restB := leading(b)
		if x != y {
			if digits(x) && digits(y) && len(x) != len(y) {
				return len(x) < len(y)
			}
			return x < y
		}
		a, b = restA, restB
	}
	return len(a) < len(b)
}

// leading cuts off a number without leading zeros, or one character.
func leading(s string) (string, string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 0 {
		return s[:1], s[1:]
	}
	number := s[:n]
	for len(number) > 1 && number[0] == '0' {
		number = number[1:]
	}
	return number, s[n:]
}

func digits(s string) bool { return s[0] >= '0' && s[0] <= '9' }
