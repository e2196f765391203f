package installer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"ashlar/iso"
	"ashlar/iso/tree"
)

// File is a file to put into the target.
type File struct {
	Path    string `yaml:"path" jsonschema:"required" jsonschema_description:"absolute path in the target"`
	Content string `yaml:"content,omitempty" jsonschema_description:"the file's text"`
	Link    string `yaml:"link,omitempty" jsonschema_description:"makes a symbolic link with this target"`
	Mode    string `yaml:"mode,omitempty" jsonschema_description:"permissions in octal; default 0644"`
}

// setup is the part of the answers that image definitions have, too.
func (a *Answers) setup() iso.Setup {
	s := iso.Setup{Timezone: a.System.Timezone, Locale: a.System.Locale, Keymap: a.System.Keymap,
		Services: a.Services, Users: a.Users, Repositories: a.Repositories}
	for _, f := range a.Files {
		s.Files = append(s.Files, iso.File{Path: f.Path, Content: f.Content, Link: f.Link, Mode: f.Mode})
	}
	return s
}

// needsSystemd names the answers that only systemd makes true.
func (a *Answers) needsSystemd() (what []string) {
	if len(a.Network) > 0 {
		what = append(what, "network")
	}
	if a.Services != nil {
		what = append(what, "services")
	}
	return what
}

// accountFiles are those that users are written to.
var accountFiles = []string{"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"}

// settle writes what the answers say of accounts, services, files and so on into
// the target.
func (p *Plan) settle(root *os.Root) error {
	var base []tree.Entry
	for _, name := range accountFiles {
		text, err := root.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		}
		info, err := root.Stat(name)
		if err != nil {
			return err
		}
		base = append(base, tree.Entry{Path: name, Perm: uint32(info.Mode().Perm()), Size: int64(len(text)), Open: tree.Bytes(text)})
	}
	entries, err := p.answers.setup().Entries(base, time.Now().Unix())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := put(root, e); err != nil {
			return fmt.Errorf("/%s: %w", e.Path, err)
		}
	}
	texts := networkFiles(p.answers.Network)
	if text := p.answers.Proxy.environment(); text != "" {
		if err := appendFile(root, "etc/environment", text); err != nil {
			return err
		}
		texts["etc/systemd/system.conf.d/10-proxy.conf"] = p.answers.Proxy.manager()
	}
	if login := p.answers.System.RootSSH; login != "" {
		texts["etc/ssh/sshd_config.d/10-root.conf"] = "PermitRootLogin " + rootSSH[login] + "\n"
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := []byte(texts[name])
		if err := put(root, tree.Entry{Path: name, Perm: 0o644, Size: int64(len(text)), Open: tree.Bytes(text)}); err != nil {
			return fmt.Errorf("/%s: %w", name, err)
		}
	}
	return nil
}

// put writes an entry, with the folders on the way to it. What is there is
// replaced, but for folders, which are kept.
func put(root *os.Root, e tree.Entry) error {
	if err := root.MkdirAll(path.Dir(e.Path), 0o755); err != nil {
		return err
	}
	switch e.Kind {
	case tree.Dir:
		switch err := root.Mkdir(e.Path, 0o700); {
		case errors.Is(err, fs.ErrExist):
			return nil
		case err != nil:
			return err
		}
	case tree.Symlink:
		if err := root.Remove(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return root.Symlink(e.Target, e.Path)
	default:
		r, err := e.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := root.Remove(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // it may be a link out of a package's folder
		}
		if err := root.WriteFile(e.Path, text, 0o600); err != nil {
			return err
		}
	}
	if err := root.Lchown(e.Path, int(e.UID), int(e.GID)); err != nil {
		return err
	}
	return root.Chmod(e.Path, mode(e.Perm))
}

// mode turns the twelve permission bits into Go's.
func mode(perm uint32) fs.FileMode {
	m := fs.FileMode(perm & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if perm&bit != 0 {
			m |= flag
		}
	}
	return m
}

// Proxy is what the target's programs reach the network through.
type Proxy struct {
	URL    string   `yaml:"url,omitempty" jsonschema_description:"as http://proxy.example.org:3128"`
	Except []string `yaml:"except,omitempty" jsonschema_description:"hosts, domains and networks that are reached without it"`
}

// variables returns what programs know, as NAME=VALUE.
func (x Proxy) variables() []string {
	if x.URL == "" {
		return nil
	}
	vars := []string{"http_proxy=" + x.URL, "https_proxy=" + x.URL}
	if len(x.Except) > 0 {
		vars = append(vars, "no_proxy="+strings.Join(x.Except, ","))
	}
	return vars
}

// environment is for logins (/etc/environment).
func (x Proxy) environment() string {
	var text string
	for _, v := range x.variables() {
		text += v + "\n"
	}
	return text
}

// manager is for services (systemd-system.conf(5)).
func (x Proxy) manager() string {
	return "# Written by the installer.\n[Manager]\nDefaultEnvironment=\"" + strings.Join(x.variables(), "\" \"") + "\"\n"
}

// describe says what the answers add to a system of packages.
func (a *Answers) describe(say func(format string, args ...any)) {
	if len(a.Hooks.Before) > 0 {
		say("run %d scripts of hooks.before in it", len(a.Hooks.Before))
	}
	for _, n := range a.Network {
		say("set up the network interface %s", n.Name)
	}
	for _, u := range a.Users {
		var by []string
		if u.Password != "" {
			by = append(by, "a password")
		}
		if len(u.SSHKeys) > 0 {
			by = append(by, fmt.Sprintf("%d SSH keys", len(u.SSHKeys)))
		}
		if len(by) == 0 {
			by = []string{"no password and no key"}
		}
		say("make the user %s with %s", u.Name, strings.Join(by, " and "))
	}
	for _, r := range a.Repositories {
		say("use the repository %s: %s", r.Name, strings.Join(r.URLs, ", "))
	}
	for _, f := range a.Files {
		say("write %s", f.Path)
	}
	if len(a.Hooks.After) > 0 {
		say("run %d scripts of hooks.after in it", len(a.Hooks.After))
	}
}
