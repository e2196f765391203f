package iso

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ashlar/iso/tree"

	"github.com/goccy/go-yaml"
)

// additions returns what the definition itself puts into the live system.
func (m *Image) additions() ([]tree.Entry, error) {
	var entries []tree.Entry
	text := func(path, content string) {
		entries = append(entries, tree.Entry{Path: path, Perm: 0o644, Size: int64(len(content)), Open: tree.Bytes([]byte(content))})
	}
	if m.Hostname != "" {
		text("etc/hostname", m.Hostname+"\n")
	}
	if m.Locale != "" {
		text("etc/locale.conf", "LANG="+m.Locale+"\n")
	}
	if m.Keymap != "" {
		text("etc/vconsole.conf", "KEYMAP="+m.Keymap+"\n")
	}
	if m.Timezone != "" {
		entries = append(entries, link("etc/localtime", "../usr/share/zoneinfo/"+m.Timezone))
	}
	if m.Services != nil {
		text("etc/systemd/system-preset/00-image.preset", m.preset())
		for _, unit := range m.Services.Mask {
			entries = append(entries, link("etc/systemd/system/"+unit, "/dev/null"))
		}
	}
	for _, r := range m.Repositories {
		body, err := yaml.Marshal(struct {
			Schema  int      `yaml:"schema"`
			Name    string   `yaml:"name"`
			URLs    []string `yaml:"urls"`
			Channel string   `yaml:"channel,omitempty"`
		}{1, r.Name, r.URLs, r.Channel})
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w", r.Name, err)
		}
		text("etc/pkgtool/repositories.d/"+r.Name+".yaml", m.writtenBy()+string(body))
	}
	for _, f := range m.Files {
		e, err := m.addition(f)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", m.Name, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func link(path, target string) tree.Entry {
	return tree.Entry{Path: path, Kind: tree.Symlink, Perm: 0o777, Target: target}
}

// preset says which units the first start of a system enables (systemd.preset(5)).
func (m *Image) preset() string {
	var b strings.Builder
	b.WriteString(m.writtenBy())
	for _, unit := range m.Services.Enable {
		fmt.Fprintln(&b, "enable", unit)
	}
	for _, unit := range slices.Concat(m.Services.Disable, m.Services.Mask) {
		fmt.Fprintln(&b, "disable", unit)
	}
	return b.String()
}

func (m *Image) addition(f File) (tree.Entry, error) {
	e := tree.Entry{Path: strings.TrimPrefix(f.Path, "/"), Perm: 0o644}
	if f.Mode != "" {
		perm, err := strconv.ParseUint(f.Mode, 8, 12)
		if err != nil {
			return e, fmt.Errorf("file %s: %w", f.Path, err)
		}
		e.Perm = uint32(perm)
	}
	switch {
	case f.Link != "":
		e = link(e.Path, f.Link)
	case f.From != "":
		from := filepath.Join(m.dir, f.From)
		info, err := os.Stat(from)
		if err != nil {
			return e, fmt.Errorf("file %s: %w", f.Path, err)
		}
		if !info.Mode().IsRegular() {
			return e, fmt.Errorf("file %s: %s is not a file", f.Path, from)
		}
		e.Size = info.Size()
		e.Open = func() (io.ReadCloser, error) { return os.Open(from) }
	default:
		e.Size, e.Open = int64(len(f.Content)), tree.Bytes([]byte(f.Content))
	}
	return e, nil
}

// overlay puts additions on top of a tree: what stands at the same path is
// replaced, and a path through one of the tree's own folder links lands where
// the link leads.
func overlay(base, additions []tree.Entry) ([]tree.Entry, error) {
	place := make(map[string]int, len(base))
	for i, e := range base {
		place[e.Path] = i
	}
	out := append([]tree.Entry(nil), base...)
	for _, a := range additions {
		p, err := throughLinks(out, place, a.Path)
		if err != nil {
			return nil, err
		}
		a.Path = p
		i, ok := place[a.Path]
		if !ok {
			place[a.Path] = len(out)
			out = append(out, a)
			continue
		}
		if out[i].Kind == tree.Dir && a.Kind == tree.Dir {
			continue
		}
		if out[i].Kind == tree.Dir {
			return nil, fmt.Errorf("cannot put a file at /%s: it is a folder", a.Path)
		}
		out[i] = a
	}
	return out, nil
}

// throughLinks resolves the folder links on the way to p.
func throughLinks(entries []tree.Entry, place map[string]int, p string) (string, error) {
	for range 40 { // as many links as Linux follows
		changed := false
		for i := range len(p) {
			if p[i] != '/' {
				continue
			}
			at, ok := place[p[:i]]
			if !ok || entries[at].Kind != tree.Symlink {
				continue
			}
			target := entries[at].Target
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(p[:i]), target)
			}
			p = strings.TrimPrefix(path.Join("/", target, p[i:]), "/")
			changed = true
			break
		}
		if !changed {
			return p, nil
		}
	}
	return "", fmt.Errorf("too many links on the way to /%s", p)
}
