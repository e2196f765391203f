package data

import (
	"context"
	"fmt"
	"os"
)

// merge makes of the packages' trees the tree that a system has, and the
// archive of it that tar unpacks for comparison.
func (m *maker) merge(ctx context.Context) error {
	for _, set := range []string{Base, Upgrade} {
		m.say("making the tree and the archive of %s", set)
		tree := m.Tree(set)
		if err := os.Mkdir(tree, 0o755); err != nil {
			return err
		}
		for _, e := range m.Packages[set] {
			if err := run(ctx, "cp", "-a", m.unpacked(set, e.Name)+"/.", tree); err != nil {
				return err
			}
		}
		// One frame: zstd cannot decode it on more than one core, and finds
		// what repeats in other packages.
		script := fmt.Sprintf("tar --sort=name --owner=0 --group=0 --numeric-owner -cf - -C %s . | zstd -q -%d -T0 -o %s",
			shellQuote(tree), Level, shellQuote(m.Archive(set)))
		if err := run(ctx, "sh", "-c", script); err != nil {
			return err
		}
	}
	return nil
}
