package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// firstRoot writes 1.root.json, unless an Init that was killed has done so. It
// is kept beside the keys: a repository that is made anew under them, as
// developers do, has the very root that its clients and images have pinned.
func (r *Repository) firstRoot(keys roleKeys) error {
	path := r.path(MetadataPath(metadata.ROOT, 1))
	kept := filepath.Join(filepath.Dir(keyFile(r.keys, r.config.Name, metadata.ROOT)), "1.root.json")
	for _, place := range []string{path, kept} {
		data, err := readBounded(place, tuf.MaxSize[metadata.ROOT])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := rootOf(keys, data); err != nil {
			return fault.Mark(fmt.Errorf("%s: %w", place, err), fault.Security, "use an empty folder, or another name")
		}
		if place == path {
			return nil
		}
		return durable.WriteFile(path, data, 0o644)
	}
	root := metadata.Root(r.now().Add(lifetime(r.config.Lifetimes.Root)))
	root.Signed.UnrecognizedFields = map[string]any{"x-ashlar-repository": r.config.Name}
	for _, role := range roles {
		key, _, err := tufKey(keys[role])
		if err != nil {
			return err
		}
		if err := root.Signed.AddKey(key, role); err != nil {
			return err
		}
	}
	data, err := sign(root, keys[metadata.ROOT])
	if err != nil {
		return err
	}
	if err := durable.WriteFile(kept, data, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o644)
}

// rootOf proves that root metadata is good and gives each role exactly our key.
func rootOf(keys roleKeys, data []byte) error {
	if err := tuf.Check(metadata.ROOT, data); err != nil {
		return err
	}
	root, err := metadata.Root().FromBytes(data)
	if err != nil {
		return tuf.Translate(err)
	}
	if err := root.VerifyDelegate(metadata.ROOT, root); err != nil {
		return tuf.Translate(err)
	}
	for _, role := range roles {
		_, id, err := tufKey(keys[role])
		if err != nil {
			return err
		}
		if !slices.Equal(root.Signed.Roles[role].KeyIDs, []string{id}) {
			return fmt.Errorf("holds root metadata of another %s key", role)
		}
	}
	return nil
}
