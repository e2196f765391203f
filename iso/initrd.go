package iso

import (
	"bytes"
	"context"
	"fmt"

	"ashlar/iso/cpio"
	"ashlar/iso/drivers"
	"ashlar/iso/tree"

	"github.com/klauspost/compress/zstd"
)

// initrdLevels are the levels of its compression; firmware is slow at reading, so the
// least is not the fastest.
var initrdLevels = map[string]zstd.EncoderLevel{"default": zstd.SpeedBetterCompression, "better": zstd.SpeedBetterCompression, "best": zstd.SpeedBestCompression}

// initrd returns the initial RAM file system: live-init as /init, a console
// device for the time before /dev is mounted, the drivers asked for, and those
// that a medium or a root can need.
func initrd(ctx context.Context, liveInit []byte, k *kernel, modules []string, level zstd.EncoderLevel, epoch int64) ([]byte, error) {
	lists, err := drivers.Open(k.read)
	if err != nil {
		return nil, err
	}
	loaded, err := lists.Entries(modules, drivers.Storage, epoch)
	if err != nil {
		return nil, fmt.Errorf("initial RAM file system of kernel %s: %w", k.release(), err)
	}
	entries := []tree.Entry{
		{Path: "init", Perm: 0o755, Size: int64(len(liveInit)), Open: tree.Bytes(liveInit)},
		{Path: "dev/console", Kind: tree.CharDevice, Perm: 0o600, Major: 5, Minor: 1},
	}
	if len(loaded) > 0 {
		// the kernel asks it for file systems, ciphers and arrays
		entries = append(entries, tree.Entry{Path: "sbin/modprobe", Kind: tree.Symlink, Perm: 0o777, Target: "../init"})
		entries = append(entries, loaded...)
	}
	for i := range entries {
		entries[i].ModTime = epoch
	}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
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
