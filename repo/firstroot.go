package repo

import (
	"bytes"
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

// firstRoots writes the root metadata that a repository begins with, unless an
// Init that was killed has done so. All root metadata is kept beside the keys: a
// repository that is made anew under them, as developers do, has the very roots
// that its clients and images have pinned.
func (r *Repository) firstRoots() error {
	folder := KeyFolder(r.keys, r.config.Name)
	kept, _, err := keptRoots(folder, r.config.Name)
	if err != nil {
		return err
	}
	if len(kept) == 0 {
		first, err := r.newRoot(folder)
		if err != nil {
			return err
		}
		if err := keepRoot(folder, 1, first); err != nil {
			return err
		}
		kept = [][]byte{first}
	}
	for i, data := range kept {
		path := r.path(MetadataPath(metadata.ROOT, int64(i)+1))
		existing, err := readBounded(path, tuf.MaxSize[metadata.ROOT])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = durable.WriteFile(path, data, 0o644)
		case err == nil && !bytes.Equal(existing, data):
			err = fault.Mark(fmt.Errorf("%s is another root than the one of these keys", path), fault.Security, "use an empty folder, or another name")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// newRoot makes the first root of a repository, from the keys at hand or from
// new ones. One that lies in the folder already is taken if it is of these keys.
func (r *Repository) newRoot(folder string) ([]byte, error) {
	keys, err := firstKeys(folder)
	if err != nil {
		return nil, err
	}
	path := r.path(MetadataPath(metadata.ROOT, 1))
	if data, err := readBounded(path, tuf.MaxSize[metadata.ROOT]); err == nil {
		if err := rootOf(keys, data); err != nil {
			return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Security, "use an empty folder, or another name")
		}
		return data, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	root := metadata.Root(r.now().Add(lifetime(r.config.Lifetimes.Root)))
	root.Signed.UnrecognizedFields = map[string]any{repositoryField: r.config.Name}
	for _, role := range roles {
		key, _, err := keys[role].tuf()
		if err != nil {
			return nil, err
		}
		if err := root.Signed.AddKey(key, role); err != nil {
			return nil, err
		}
	}
	key := keys[metadata.ROOT]
	return signWith(root, heldKeys{{key.ID, key.file, key.private}}, []string{key.ID})
}

// rootOf proves that root metadata is good and gives each role exactly our key.
func rootOf(keys map[string]*RoleKey, data []byte) error {
	root, err := nextInChain(nil, data)
	if err != nil {
		return err
	}
	for _, role := range roles {
		if !slices.Equal(root.Signed.Roles[role].KeyIDs, []string{keys[role].ID}) {
			return fmt.Errorf("holds root metadata of another %s key than %s", role, filepath.Base(keys[role].file))
		}
	}
	return nil
}
