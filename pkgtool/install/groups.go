package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// GroupsPath is where a system has the names that stand for several packages, as
// @server does. Whoever makes an image writes it; an installation copies it.
const GroupsPath = "etc/pkgtool/groups.json"

// maxGroups bounds the file, in bytes.
const maxGroups = 1 << 20

// Groups are named sets of packages.
type Groups struct {
	Schema int              `json:"schema"` // 1
	Groups map[string]Group `json:"groups"`
}

// Group is a named set of packages; no groups are in it.
type Group struct {
	Summary  string   `json:"summary"`
	Packages []string `json:"packages"`
}

// ReadGroups reads the groups of the system at root, none if it has no file.
func ReadGroups(root string) (*Groups, error) {
	g := &Groups{}
	f, err := os.Open(filepath.Join(root, GroupsPath))
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxGroups+1))
	if err == nil && len(data) > maxGroups {
		err = fmt.Errorf("more than %d bytes", maxGroups)
	}
	if err == nil {
		err = json.Unmarshal(data, g)
	}
	if err == nil && g.Schema != 1 {
		err = fmt.Errorf("schema is %d; this pkgtool knows 1", g.Schema)
	}
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("/%s: %w", GroupsPath, err), fault.Usage, "remove the file, or name packages instead of groups")
	}
	return g, nil
}

// expandGroups replaces @NAME by the group's packages.
func expandGroups(root string, words []string) ([]string, error) {
	if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "@") }) {
		return words, nil
	}
	known, err := ReadGroups(root)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, word := range words {
		name, isGroup := strings.CutPrefix(word, "@")
		if !isGroup {
			all = append(all, word)
			continue
		}
		group, ok := known.Groups[name]
		if !ok {
			names := slices.Sorted(maps.Keys(known.Groups))
			hint := "this system knows no groups; name packages"
			if len(names) > 0 {
				hint = "groups here: " + strings.Join(names, ", ")
			}
			if near := strictyaml.Nearest(name, names); near != "" {
				hint = fmt.Sprintf("did you mean @%s?", near)
			}
			return nil, fault.Mark(fmt.Errorf("there is no group %q", name), fault.Usage, hint)
		}
		for _, member := range group.Packages {
			if !slices.Contains(all, member) {
				all = append(all, member)
			}
		}
	}
	return all, nil
}
