package kernelconfig

import (
	"fmt"
	"os"

	"ashlar/kernel-config/kconfig"
)

// ReadSource reads the Kconfig files of a kernel source folder.
func ReadSource(dir, arch string) (*kconfig.Tree, error) {
	root, err := os.OpenRoot(dir) // a symlink in the source cannot lead outside
	if err != nil {
		return nil, err
	}
	defer root.Close()
	tree, err := kconfig.Read(root.FS(), arch)
	if err != nil {
		return nil, fmt.Errorf("read the Kconfig files of %s: %w", dir, err)
	}
	return tree, nil
}
