package iso

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ashlar/iso/tree"
	"ashlar/pkgtool/system/sysusers"
)

// Numbers of people's accounts.
const (
	firstUser = 1000
	lastUser  = 60000
)

const maxText = 1 << 20 // of an account file or os-release

// settings returns what a definition changes in files of the packages: the
// accounts, and what the system calls itself.
func (m *Image) settings(base []tree.Entry, epoch int64) ([]tree.Entry, error) {
	s := &settings{base: map[string]tree.Entry{}, epoch: epoch}
	for _, e := range base {
		s.base[e.Path] = e
	}
	if len(m.Users) > 0 {
		if err := s.addUsers(m.Users); err != nil {
			return nil, fmt.Errorf("users: %w", err)
		}
	}
	if m.Branding != nil {
		if err := s.brand(m.Branding); err != nil {
			return nil, fmt.Errorf("branding: %w", err)
		}
	}
	return s.entries, nil
}

type settings struct {
	base    map[string]tree.Entry
	epoch   int64
	entries []tree.Entry
}

// text returns a file of the packages, nil if there is none.
func (s *settings) text(path string) ([]byte, error) {
	e, ok := s.base[path]
	if !ok || e.Kind != tree.File {
		return nil, nil
	}
	if e.Size > maxText {
		return nil, fmt.Errorf("/%s has %d bytes; it may have %d", path, e.Size, maxText)
	}
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if b == nil {
		b = []byte{}
	}
	return b, err
}

// put adds a file, with the mode of what it replaces or else perm.
func (s *settings) put(path string, perm, uid uint32, content []byte) {
	if e, ok := s.base[path]; ok && e.Kind == tree.File {
		perm = e.Perm
	}
	s.entries = append(s.entries, tree.Entry{Path: path, Perm: perm, UID: uid, GID: uid, ModTime: s.epoch, Size: int64(len(content)), Open: tree.Bytes(content)})
}

func (s *settings) dir(path string, perm, uid uint32) {
	if _, ok := s.base[path]; !ok {
		s.entries = append(s.entries, tree.Entry{Path: path, Kind: tree.Dir, Perm: perm, UID: uid, GID: uid, ModTime: s.epoch})
	}
}

// addUsers writes the account files as systemd-sysusers would, then passwords,
// home folders and keys, which that does not know.
func (s *settings) addUsers(users []User) error {
	var now sysusers.Texts
	files := []struct {
		path string
		text *[]byte
		perm uint32
	}{{"etc/passwd", &now.Passwd, 0o644}, {"etc/group", &now.Group, 0o644}, {"etc/shadow", &now.Shadow, 0o600}, {"etc/gshadow", &now.Gshadow, 0o600}}
	for _, f := range files {
		var err error
		if *f.text, err = s.text(f.path); err != nil {
			return err
		}
	}
	if now.Passwd == nil || now.Shadow == nil {
		return fmt.Errorf("no package of the image has /etc/passwd and /etc/shadow")
	}
	given := map[uint32]bool{}
	for _, u := range users {
		given[u.UID] = true
	}
	var conf strings.Builder
	next := uint32(firstUser)
	numbers := map[string]uint32{"root": 0}
	for _, u := range users {
		if u.Name == "root" {
			continue
		}
		if u.UID == 0 {
			for given[next] {
				next++
			}
			u.UID = next
			next++
		}
		numbers[u.Name] = u.UID
		fmt.Fprintf(&conf, "u %s %d \"%s\" %s %s\n", u.Name, u.UID, u.Comment, u.home(), u.shell())
		for _, g := range u.Groups {
			fmt.Fprintf(&conf, "m %s %s\n", u.Name, g)
		}
	}
	next2, _, err := sysusers.Allocate([]sysusers.Conf{{Name: "etc/sysusers.d/image.conf", Text: []byte(conf.String())}}, now)
	if err != nil {
		return err
	}
	now = next2
	for _, u := range users {
		if u.Password != "" {
			if now.Shadow, err = setField(now.Shadow, u.Name, 1, u.Password); err != nil {
				return err
			}
		}
		if u.Name == "root" && u.Shell != "" {
			if now.Passwd, err = setField(now.Passwd, u.Name, 6, u.Shell); err != nil {
				return err
			}
		}
		s.addHome(u, numbers[u.Name])
	}
	for _, f := range files {
		if *f.text != nil {
			s.put(f.path, f.perm, 0, *f.text)
		}
	}
	return nil
}

func (u *User) home() string {
	switch {
	case u.Name == "root":
		return "/root"
	case u.Home != "":
		return u.Home
	}
	return "/home/" + u.Name
}

func (u *User) shell() string {
	if u.Shell != "" {
		return u.Shell
	}
	return "/bin/sh"
}

func (s *settings) addHome(u User, uid uint32) {
	home := strings.TrimPrefix(u.home(), "/")
	s.dir(home, 0o700, uid)
	if len(u.SSHKeys) > 0 {
		s.dir(home+"/.ssh", 0o700, uid)
		s.put(home+"/.ssh/authorized_keys", 0o600, uid, []byte(strings.Join(u.SSHKeys, "\n")+"\n"))
	}
}

// setField changes a field of the line of an account file that begins with name.
func setField(text []byte, name string, field int, value string) ([]byte, error) {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		fields := strings.Split(line, ":")
		if fields[0] == name && len(fields) > field {
			fields[field] = value
			lines[i] = strings.Join(fields, ":")
			return []byte(strings.Join(lines, "\n")), nil
		}
	}
	return nil, fmt.Errorf("the account files have no line for %s", name)
}

// brand writes /etc/os-release in place of the packages' own.
func (s *settings) brand(b *Branding) error {
	const own = "usr/lib/os-release"
	text, err := s.text(own)
	if err != nil {
		return err
	}
	fields := osRelease(text)
	original := fields["ID"]
	name, version := first(b.Name, fields["NAME"]), first(b.Version, fields["VERSION_ID"])
	for key, value := range map[string]string{"NAME": name, "VERSION_ID": version, "VERSION": b.Version, "HOME_URL": b.Home,
		"SUPPORT_URL": b.Support, "PRETTY_NAME": strings.TrimSpace(name + " " + version), "ID": b.ID} {
		if value != "" {
			fields[key] = value
		}
	}
	if b.ID != "" && original != "" && b.ID != original {
		fields["ID_LIKE"] = original
	}
	var out bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&out, "%s=\"%s\"\n", key, fields[key])
	}
	s.put("etc/os-release", 0o644, 0, out.Bytes())
	for path, text := range map[string]string{"etc/issue": b.Issue, "etc/motd": b.Motd} {
		if text != "" {
			s.put(path, 0o644, 0, []byte(strings.TrimSuffix(text, "\n")+"\n"))
		}
	}
	return nil
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// osRelease reads the fields of os-release(5).
func osRelease(text []byte) map[string]string {
	fields := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			fields[key] = strings.Trim(value, `"'`)
		}
	}
	return fields
}
