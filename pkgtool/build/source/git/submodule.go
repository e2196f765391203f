package git

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxModules bounds a .gitmodules file, in bytes.
const maxModules = 1 << 20

// addSubmodules collects the files of the submodules at links, as .gitmodules
// of root describes them. Their commits are pinned by the commit above them.
func (a *archive) addSubmodules(store *filesystem.Storage, root *object.Tree, c Commit, prefix string, links map[string]plumbing.Hash, nesting int) error {
	if nesting >= maxNesting {
		return refuse("submodules in submodules, more than %d deep", maxNesting)
	}
	modules, err := readModules(store, root)
	if err != nil {
		return err
	}
	for _, place := range slices.Sorted(maps.Keys(links)) {
		if a.submodules++; a.submodules > maxSubmodules {
			return refuse("more than %d submodules", maxSubmodules)
		}
		name := strings.TrimPrefix(place, prefix+"/")
		module, ok := modules[name]
		if !ok {
			return fmt.Errorf("submodule %q is not described in .gitmodules", name)
		}
		address, err := submoduleURL(c.URL, module.URL)
		if err != nil {
			return refuse("submodule %q: %v", name, err)
		}
		sub := Commit{URL: address, ID: links[place].String(), Ref: module.Branch, Submodules: true}
		if sub.Ref == "" || sub.Ref == "." {
			sub.Ref = "HEAD"
		}
		if err := sub.Check(); err != nil {
			return refuse("submodule %q: %v", name, err)
		}
		if _, err := a.add(sub, place, nesting+1); err != nil {
			return fmt.Errorf("submodule %q: %w", name, err)
		}
	}
	return nil
}

// readModules returns the submodules of a tree by their path.
func readModules(store *filesystem.Storage, root *object.Tree) (map[string]*config.Submodule, error) {
	for _, e := range root.Entries {
		if e.Name != ".gitmodules" {
			continue
		}
		if !e.Mode.IsFile() || e.Mode.IsMalformed() {
			return nil, refuse(".gitmodules is no file")
		}
		size, err := store.EncodedObjectSize(e.Hash)
		if err != nil {
			return nil, fmt.Errorf(".gitmodules: %w", err)
		}
		if size > maxModules {
			return nil, refuse(".gitmodules has %d bytes", size)
		}
		var text strings.Builder
		if err := (&entry{hash: e.Hash, size: size, store: store}).copy(&text); err != nil {
			return nil, fmt.Errorf(".gitmodules: %w", err)
		}
		parsed := config.NewModules()
		if err := parsed.Unmarshal([]byte(text.String())); err != nil {
			return nil, fmt.Errorf(".gitmodules: %w", err)
		}
		byPath := map[string]*config.Submodule{}
		for _, m := range parsed.Submodules {
			byPath[path.Clean(m.Path)] = m
		}
		return byPath, nil
	}
	return nil, fmt.Errorf("there are submodules and no .gitmodules")
}

// submoduleURL resolves an address that may be relative to the repository's.
func submoduleURL(parent, address string) (string, error) {
	if strings.HasPrefix(address, "./") || strings.HasPrefix(address, "../") {
		base, err := url.Parse(strings.TrimRight(parent, "/"))
		if err != nil {
			return "", err
		}
		for part := range strings.SplitSeq(address, "/") {
			switch part {
			case ".", "":
			case "..":
				base.Path = path.Dir(base.Path)
			default:
				base.Path = path.Join(base.Path, part)
			}
		}
		return base.String(), nil
	}
	if err := checkURL(address); err != nil {
		return "", err
	}
	if strings.HasPrefix(parent, "https:") && !strings.HasPrefix(address, "https:") {
		return "", fmt.Errorf("%.200q is not https, as the repository above it is", address)
	}
	return address, nil
}
