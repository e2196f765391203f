package pkgfile

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Difference is what distinguishes one package from another. All lists are
// empty if and only if the manifests are equal.
type Difference struct {
	Fields []FieldChange `json:"fields"` // of one value, in the order in which `pkg inspect` shows them
	Lists  []ListChange  `json:"lists"`  // dependencies, provides, triggers, sources
	Files  []FileChange  `json:"files"`  // in the order of their paths
}

// FieldChange is a field whose value differs; "" stands for an absent one.
type FieldChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// ListChange is what a list lost and gained, each in order.
type ListChange struct {
	Field   string   `json:"field"`
	Removed []string `json:"removed"`
	Added   []string `json:"added"`
}

// FileChange is a path that only one of the packages has (From or To is nil),
// or that differs. What a hard link shares with its target counts as its own.
type FileChange struct {
	Path    string   `json:"path"`
	Differs []string `json:"differs,omitempty"` // type, content, target, mode, owner, group, xattrs, config
	From    *File    `json:"from,omitempty"`
	To      *File    `json:"to,omitempty"`
}

// Empty reports whether nothing differs.
func (d *Difference) Empty() bool { return len(d.Fields)+len(d.Lists)+len(d.Files) == 0 }

// Compare returns what differs between two manifests. Contents are compared by
// their hashes; where a file lies in the archive does not count.
func Compare(from, to *Manifest) *Difference {
	d := &Difference{Fields: []FieldChange{}, Lists: []ListChange{}, Files: compareFiles(from, to)}
	old, new := singleFields(from), singleFields(to)
	for i, field := range old {
		if field[1] != new[i][1] {
			d.Fields = append(d.Fields, FieldChange{field[0], field[1], new[i][1]})
		}
	}
	oldLists, newLists := listFields(from), listFields(to)
	for i, list := range oldLists {
		change := ListChange{list.name, without(list.texts, newLists[i].texts), without(newLists[i].texts, list.texts)}
		if len(change.Removed)+len(change.Added) > 0 {
			d.Lists = append(d.Lists, change)
		}
	}
	return d
}

// singleFields are the names and values of what is not a list.
func singleFields(m *Manifest) [][2]string {
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	only := ""
	if m.InstallOnly {
		only = "true"
	}
	return [][2]string{
		{"format", number(int64(m.Format))}, {"name", m.Name}, {"epoch", number(int64(m.Epoch))}, {"version", m.Version},
		{"release", number(int64(m.Release))}, {"upstream", m.Upstream}, {"arch", m.Arch}, {"install_only", only},
		{"summary", m.Summary}, {"license", m.License}, {"homepage", m.Homepage}, {"vendor", m.Vendor}, {"recipe", m.Recipe},
		{"provenance.origin", m.Provenance.Origin}, {"provenance.epoch", number(m.Provenance.Epoch)},
		{"provenance.action", m.Provenance.Action}, {"installed_size", number(m.InstalledSize)},
		{"frames", framesText(m.Frames)}, {"description", m.Description},
	}
}

// framesText tells two ways of packing apart: other content, or the same
// compressed otherwise.
func framesText(frames []Frame) string {
	var size int64
	all := sha256.New()
	for _, f := range frames {
		size += f.Size
		fmt.Fprintln(all, f)
	}
	return fmt.Sprintf("%d bytes in %d (%.6x)", size, len(frames), all.Sum(nil))
}

type listField struct {
	name  string
	texts []string
}

func listFields(m *Manifest) []listField {
	var triggers, sources []string
	for _, t := range m.Triggers {
		triggers = append(triggers, fmt.Sprintf("%s: %q on %s", t.Name, t.Run, strings.Join(t.Watch, " ")))
	}
	for _, s := range m.Provenance.Sources {
		sources = append(sources, strings.TrimSpace(s.URI+" "+s.SHA256))
	}
	return []listField{
		{"requires", m.Requires}, {"recommends", m.Recommends}, {"supplements", m.Supplements}, {"provides", m.Provides},
		{"conflicts", m.Conflicts}, {"replaces", m.Replaces}, {"triggers", triggers}, {"provenance.sources", sources},
	}
}

// without returns the texts of list that are not in other.
func without(list, other []string) []string {
	known := map[string]bool{}
	for _, text := range other {
		known[text] = true
	}
	left := []string{}
	for _, text := range list {
		if !known[text] {
			left = append(left, text)
		}
	}
	return left
}

// compareFiles merges the two file tables, which are sorted.
func compareFiles(from, to *Manifest) []FileChange {
	changes := []FileChange{}
	i, j := 0, 0
	for i < len(from.Files) || j < len(to.Files) {
		switch {
		case j == len(to.Files) || i < len(from.Files) && from.Files[i].Path < to.Files[j].Path:
			changes = append(changes, FileChange{Path: from.Files[i].Path, From: &from.Files[i]})
			i++
		case i == len(from.Files) || from.Files[i].Path > to.Files[j].Path:
			changes = append(changes, FileChange{Path: to.Files[j].Path, To: &to.Files[j]})
			j++
		default:
			if differs := compareFile(from, &from.Files[i], to, &to.Files[j]); len(differs) > 0 {
				changes = append(changes, FileChange{from.Files[i].Path, differs, &from.Files[i], &to.Files[j]})
			}
			i++
			j++
		}
	}
	return changes
}

func compareFile(from *Manifest, a *File, to *Manifest, b *File) []string {
	var differs []string
	note := func(what string, different bool) {
		if different {
			differs = append(differs, what)
		}
	}
	note("type", a.Type != b.Type)
	note("target", a.Target != b.Target)
	a, b = from.attributes(a), to.attributes(b)
	note("content", a.SHA256 != b.SHA256)
	note("mode", a.Mode != b.Mode)
	note("owner", a.Owner != b.Owner)
	note("group", a.Group != b.Group)
	note("xattrs", !maps.EqualFunc(a.Xattrs, b.Xattrs, slices.Equal))
	note("config", a.Config != b.Config)
	return differs
}

// attributes is f, or for a hard link its target: whose content and owner it has.
func (m *Manifest) attributes(f *File) *File {
	if f.Type == TypeHardlink {
		return m.File(f.Target)
	}
	return f
}
