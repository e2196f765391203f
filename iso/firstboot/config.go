package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// cloudConfig are the keys of #cloud-config that this program knows.
type cloudConfig struct {
	Hostname string
	Timezone string
	Keys     []string // for the first person's account, or root
	Users    []account
	Files    []file
	Commands [][]string
}

type account struct {
	Name    string   `yaml:"name"`
	Comment string   `yaml:"gecos"`
	Groups  any      `yaml:"groups"` // a list, or one string with commas
	Shell   string   `yaml:"shell"`
	Home    string   `yaml:"homedir"`
	Hash    string   `yaml:"passwd"`
	Lock    *bool    `yaml:"lock_passwd"`
	Keys    []string `yaml:"ssh_authorized_keys"`
}

type file struct {
	Path        string `yaml:"path"`
	Content     string `yaml:"content"`
	Encoding    string `yaml:"encoding"`
	Permissions string `yaml:"permissions"`
	Append      bool   `yaml:"append"`
}

// config reads the user-data; nil is none.
func (i *instance) config() (*cloudConfig, error) {
	if len(i.user) == 0 {
		return nil, nil
	}
	if !strings.HasPrefix(string(i.user), "#cloud-config") {
		return nil, fmt.Errorf("user-data begins neither with #cloud-config nor with #!")
	}
	var keys map[string]any
	if err := yaml.Unmarshal(i.user, &keys); err != nil {
		return nil, fmt.Errorf("user-data: %w", err)
	}
	c := &cloudConfig{}
	var commands []any
	for _, known := range []struct {
		key  string
		into any
	}{{"hostname", &c.Hostname}, {"timezone", &c.Timezone}, {"ssh_authorized_keys", &c.Keys}, {"write_files", &c.Files}, {"runcmd", &commands}} {
		if err := take(keys, known.key, known.into); err != nil {
			return nil, err
		}
	}
	if err := c.takeUsers(keys); err != nil {
		return nil, err
	}
	for _, v := range commands {
		switch v := v.(type) {
		case string:
			c.Commands = append(c.Commands, []string{"/bin/sh", "-c", v})
		case []any:
			var words []string
			for _, w := range v {
				words = append(words, fmt.Sprint(w))
			}
			if len(words) > 0 {
				c.Commands = append(c.Commands, words)
			}
		default:
			return nil, fmt.Errorf("user-data: runcmd has %v, which is no command", v)
		}
	}
	for key := range keys {
		fmt.Fprintf(os.Stderr, "firstboot: user-data: key %s is none that this program knows\n", key)
	}
	return c, nil
}

// take decodes the value of a key and removes it.
func take(keys map[string]any, key string, into any) error {
	value, ok := keys[key]
	if !ok {
		return nil
	}
	delete(keys, key)
	b, err := yaml.Marshal(value)
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("user-data: %s: %w", key, err)
	}
	return nil
}

// takeUsers reads users, in which the word "default" means one that this
// system does not have.
func (c *cloudConfig) takeUsers(keys map[string]any) error {
	list, ok := keys["users"].([]any)
	if !ok {
		return nil
	}
	var accounts []any
	for _, v := range list {
		if _, word := v.(string); !word {
			accounts = append(accounts, v)
		}
	}
	keys["users"] = accounts
	return take(keys, "users", &c.Users)
}

func (a *account) groups() (list []string) {
	switch g := a.Groups.(type) {
	case string:
		list = strings.Split(g, ",")
	case []any:
		for _, v := range g {
			list = append(list, fmt.Sprint(v))
		}
	}
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// writeFiles writes the files of write_files.
func (s *setup) writeFiles(files []file) error {
	for _, f := range files {
		content := []byte(f.Content)
		switch f.Encoding {
		case "", "text/plain":
		case "b64", "base64":
			var err error
			if content, err = base64.StdEncoding.DecodeString(strings.TrimSpace(f.Content)); err != nil {
				return fmt.Errorf("write_files: %s: %w", f.Path, err)
			}
		default:
			return fmt.Errorf("write_files: %s: encoding %q is none that this program knows", f.Path, f.Encoding)
		}
		perm := uint64(0o644)
		if f.Permissions != "" {
			var err error
			if perm, err = strconv.ParseUint(strings.TrimPrefix(f.Permissions, "0o"), 8, 12); err != nil {
				return fmt.Errorf("write_files: %s: permissions %q are not octal", f.Path, f.Permissions)
			}
		}
		name := strings.TrimPrefix(path.Clean("/"+f.Path), "/")
		if f.Append {
			if old, err := s.root.ReadFile(name); err == nil {
				content = append(old, content...)
			}
		}
		if err := s.write(name, content, os.FileMode(perm&0o777)); err != nil {
			return fmt.Errorf("write_files: %w", err)
		}
	}
	return nil
}
