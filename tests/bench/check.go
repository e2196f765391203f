package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// same checks that root holds everything that is in tree below usr, with the
// same types, sizes, modes and link targets. So no manager is fast by leaving
// something out.
func same(tree, root string) error {
	return filepath.WalkDir(filepath.Join(tree, "usr"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(tree, path)
		want, err := d.Info()
		if err != nil {
			return err
		}
		got, err := os.Lstat(filepath.Join(root, rel))
		if err != nil {
			return err
		}
		if got.Mode().Type() != want.Mode().Type() {
			return fmt.Errorf("%s is %v, not %v", rel, got.Mode(), want.Mode())
		}
		switch {
		case d.Type() == fs.ModeSymlink:
			a, _ := os.Readlink(path)
			if b, _ := os.Readlink(filepath.Join(root, rel)); a != b {
				return fmt.Errorf("%s leads to %s, not %s", rel, b, a)
			}
		case d.Type().IsRegular():
			if got.Size() != want.Size() || got.Mode() != want.Mode() {
				return fmt.Errorf("%s has %d bytes and %v, not %d and %v", rel, got.Size(), got.Mode(), want.Size(), want.Mode())
			}
		}
		return nil
	})
}
