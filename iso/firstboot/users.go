package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"ashlar/pkgtool/system/sysusers"
)

var accountName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)

const firstPerson, lastPerson = 1000, 60000

// addUsers makes accounts, and gives keys that belong to nobody to the first
// person, else to root.
func (s *setup) addUsers(c *cloudConfig, loose []string) error {
	loose = append(loose, c.Keys...)
	if len(c.Users) == 0 && len(loose) == 0 {
		return nil
	}
	var now sysusers.Texts
	files := []struct {
		path string
		text *[]byte
	}{{"etc/passwd", &now.Passwd}, {"etc/group", &now.Group}, {"etc/shadow", &now.Shadow}, {"etc/gshadow", &now.Gshadow}}
	for _, f := range files {
		text, err := s.root.ReadFile(f.path)
		if err != nil && (f.path != "etc/gshadow" || !errors.Is(err, os.ErrNotExist)) {
			return err
		}
		*f.text = text
	}
	conf, err := request(c.Users, string(now.Passwd)+"\n"+string(now.Group))
	if err != nil {
		return err
	}
	if now, _, err = sysusers.Allocate([]sysusers.Conf{{Name: "etc/sysusers.d/cloud.conf", Text: []byte(conf)}}, now); err != nil {
		return err
	}
	for _, u := range c.Users {
		if u.Hash != "" && (u.Lock == nil || !*u.Lock) {
			now.Shadow = setHash(now.Shadow, u.Name, u.Hash)
		}
	}
	for _, f := range files {
		if *f.text == nil {
			continue
		}
		info, err := s.root.Stat(f.path)
		if err != nil {
			return err
		}
		// A new name, then a rename: no moment without accounts.
		if err := s.write(f.path+".firstboot", *f.text, info.Mode().Perm()); err != nil {
			return err
		}
		if err := s.root.Rename(f.path+".firstboot", f.path); err != nil {
			return err
		}
	}
	return s.addHomes(c.Users, loose, string(now.Passwd))
}

// request returns the accounts as lines of sysusers.d(5), with the first numbers
// of people that no account or group has.
func request(users []account, accounts string) (string, error) {
	var b strings.Builder
	names, numbers := map[string]bool{}, map[string]bool{}
	for _, line := range strings.Split(accounts, "\n") {
		if fields := strings.Split(line, ":"); len(fields) > 2 {
			names[fields[0]], numbers[fields[2]] = true, true
		}
	}
	next := firstPerson
	for _, u := range users {
		if !accountName.MatchString(u.Name) || strings.ContainsAny(u.Comment+u.Shell+u.Home, ":\n\"\\") {
			return "", fmt.Errorf("users: %q cannot be an account", u.Name)
		}
		home, shell := u.Home, u.Shell
		if home == "" {
			home = "/home/" + u.Name
		}
		if shell == "" {
			shell = "/bin/sh"
		}
		if !names[u.Name] {
			for numbers[strconv.Itoa(next)] {
				next++
			}
			fmt.Fprintf(&b, "u %s %d \"%s\" %s %s\n", u.Name, next, u.Comment, home, shell)
			next++
		}
		for _, g := range u.groups() {
			if !accountName.MatchString(g) {
				return "", fmt.Errorf("users: %s: %q cannot be a group", u.Name, g)
			}
			fmt.Fprintf(&b, "m %s %s\n", u.Name, g)
		}
	}
	return b.String(), nil
}

func setHash(shadow []byte, name, hash string) []byte {
	lines := strings.Split(string(shadow), "\n")
	for i, line := range lines {
		fields := strings.Split(line, ":")
		if fields[0] == name && len(fields) > 1 && !strings.ContainsAny(hash, ":\n") {
			fields[1] = hash
			lines[i] = strings.Join(fields, ":")
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

func (s *setup) addHomes(users []account, loose []string, passwd string) error {
	given := map[string][]string{}
	for _, u := range users {
		given[u.Name] = u.Keys
	}
	owner := "root"
	for _, line := range strings.Split(passwd, "\n") {
		fields := strings.Split(line, ":")
		if len(fields) < 7 {
			continue
		}
		if id, err := strconv.Atoi(fields[2]); err == nil && id >= firstPerson && id <= lastPerson && owner == "root" {
			owner = fields[0]
		}
	}
	given[owner] = append(given[owner], loose...)
	var failed []error
	for _, line := range strings.Split(passwd, "\n") {
		fields := strings.Split(line, ":")
		keys, asked := given[fields[0]]
		if len(fields) < 7 || !asked {
			continue
		}
		uid, errUID := strconv.Atoi(fields[2])
		gid, errGID := strconv.Atoi(fields[3])
		if err := errors.Join(errUID, errGID); err != nil {
			failed = append(failed, err)
			continue
		}
		failed = append(failed, s.addHome(strings.Trim(fields[5], "/"), keys, uid, gid))
	}
	return errors.Join(failed...)
}

func (s *setup) addHome(home string, keys []string, uid, gid int) error {
	own := func(dir string) error {
		if _, err := s.root.Stat(dir); err == nil {
			return nil
		}
		if err := s.root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		return s.root.Lchown(dir, uid, gid)
	}
	if err := own(home); err != nil || len(keys) == 0 {
		return err
	}
	if err := own(home + "/.ssh"); err != nil {
		return err
	}
	file := home + "/.ssh/authorized_keys"
	text, err := s.root.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, k := range keys {
		if k != "" && !strings.Contains("\n"+string(text), "\n"+k+"\n") {
			text = append(text, k+"\n"...)
		}
	}
	if err := s.write(file, text, 0o600); err != nil {
		return err
	}
	return s.root.Lchown(file, uid, gid)
}
