package iso

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"

	"ashlar/iso/cpio"
	"ashlar/iso/tree"

	"github.com/klauspost/compress/zstd"
)

// initrd returns the initial RAM file system: live-init as /init, a console
// device for the time before /dev is mounted, and the drivers asked for.
func initrd(ctx context.Context, liveInit []byte, k *kernel, modules []string, epoch int64) ([]byte, error) {
	files, err := k.modules(modules)
	if err != nil {
		return nil, err
	}
	entries := []tree.Entry{
		{Path: "init", Perm: 0o755, Size: int64(len(liveInit)), Open: tree.Bytes(liveInit)},
		{Path: "dev/console", Kind: tree.CharDevice, Perm: 0o600, Major: 5, Minor: 1},
	}
	var load strings.Builder
	for i, file := range files {
		content, err := read(k.p, k.dir+file, maxBootFile)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("%03d-%s", i, path.Base(file))
		entries = append(entries, tree.Entry{Path: "modules/" + name, Perm: 0o644, Size: int64(len(content)), Open: tree.Bytes(content)})
		fmt.Fprintln(&load, name)
	}
	if len(files) > 0 {
		entries = append(entries, tree.Entry{Path: "modules/load", Perm: 0o644, Size: int64(load.Len()), Open: tree.Bytes([]byte(load.String()))})
	}
	for i := range entries {
		entries[i].ModTime = epoch
	}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
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
