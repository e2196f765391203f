package sysusers

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// item is a line that makes a user (with a group of the same name) or a group.
type item struct {
	name, gecos, home, shell string
	uid, gid                 uint32
	hasUID, hasGID           bool
	groupName                string // of a u line: the primary group, which exists or is made by a g line
	strict                   bool   // the group with number gid must exist or be of this name's own making

	newUser, newGroup bool
}

// same reports whether two lines ask for the same, so that one of them is idle.
func (i *item) same(o *item) bool { return *i == *o }

// bounds is a range of numbers, both ends included.
type bounds struct{ low, high uint32 }

// request is what all lines together ask for, in the order of the lines.
type request struct {
	users, groups []*item
	byUser        map[string]*item
	byGroup       map[string]*item
	memberGroups  []string            // groups of m lines
	members       map[string][]string // by group
	ranges        []bounds
	notes         []Note
}

var nameForm = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_-]{0,30}$`)

func (r *request) addLine(line string) error {
	fields, err := splitFields(line)
	if err != nil || len(fields) == 0 {
		return err
	}
	if len(fields) > 6 {
		return fmt.Errorf("%d fields, more than type, name, id, comment, home and shell", len(fields))
	}
	for len(fields) < 6 {
		fields = append(fields, "")
	}
	for n := range fields {
		if n > 0 && fields[n] == "-" {
			fields[n] = ""
		}
		if fields[n], err = expand(fields[n]); err != nil {
			return err
		}
	}
	kind, name, id := fields[0], fields[1], fields[2]
	if kind != "u" {
		for n, what := range []string{"comment", "home", "shell"} {
			if fields[n+3] != "" {
				return fmt.Errorf("a line of type %s has no %s", kind, what)
			}
		}
	}
	if kind != "r" && !nameForm.MatchString(name) {
		return fmt.Errorf("name %q: 1 to 31 letters, digits, _ and - are allowed, not a digit or - first", name)
	}
	switch kind {
	case "u":
		return r.addUser(name, id, fields[3], fields[4], fields[5])
	case "g":
		return r.addGroup(name, id)
	case "m":
		if !nameForm.MatchString(id) {
			return fmt.Errorf("group %q of a member is no name", id)
		}
		if _, known := r.members[id]; !known {
			r.memberGroups = append(r.memberGroups, id)
		}
		r.members[id] = append(r.members[id], name)
		return nil
	case "r":
		return r.addRange(name, id)
	}
	return fmt.Errorf("type %q: u, g, m and r are known", kind)
}

func (r *request) addUser(name, id, gecos, home, shell string) error {
	i := &item{name: name, gecos: gecos, home: home, shell: shell}
	if strings.ContainsAny(gecos, ":\n\r") {
		return fmt.Errorf("comment %q has a colon", gecos)
	}
	for what, p := range map[string]string{"home": home, "shell": shell} {
		if p != "" && (!path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, ':')) {
			return fmt.Errorf("%s %q is not a clean absolute path", what, p)
		}
	}
	if !path.IsAbs(id) {
		uid, group, both := strings.Cut(id, ":")
		if both {
			if gid, err := parseID(group); err == nil {
				i.gid, i.hasGID, i.strict = gid, true, true
			} else if nameForm.MatchString(group) {
				i.groupName = group
			} else {
				return fmt.Errorf("primary group %q is neither a number nor a name", group)
			}
		}
		if uid != "" && uid != "-" {
			n, err := parseID(uid)
			if err != nil {
				return err
			}
			i.uid, i.hasUID = n, true
		}
	}
	r.put(r.byUser, &r.users, i, "user")
	return nil
}

func (r *request) addGroup(name, id string) error {
	i := &item{name: name}
	if id != "" && !path.IsAbs(id) {
		n, err := parseID(id)
		if err != nil {
			return err
		}
		i.gid, i.hasGID = n, true
	}
	r.put(r.byGroup, &r.groups, i, "group")
	return nil
}

// put takes the first line for a name; another one that differs is noted.
func (r *request) put(known map[string]*item, list *[]*item, i *item, what string) {
	if first := known[i.name]; first != nil {
		if !first.same(i) {
			r.notes = append(r.notes, Note{What: "ignored", Name: i.name, Text: "another line for this " + what + " came first"})
		}
		return
	}
	known[i.name] = i
	*list = append(*list, i)
}

func (r *request) addRange(name, id string) error {
	if name != "" {
		return fmt.Errorf("a range has - for a name, not %q", name)
	}
	low, high, both := strings.Cut(id, "-")
	if !both {
		high = low
	}
	from, err := parseID(low)
	if err != nil {
		return err
	}
	to, err := parseID(high)
	if err != nil {
		return err
	}
	if from > to {
		return fmt.Errorf("range %s goes down", id)
	}
	r.ranges = append(r.ranges, bounds{from, to})
	return nil
}

// parseID reads a number; the two that mean "none" in system calls are none.
func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0xffff || n == 0xffffffff {
		return 0, fmt.Errorf("%q is not a number of a user or group", s)
	}
	return uint32(n), nil
}

// expand replaces the specifiers that mean the same on every machine.
func expand(field string) (string, error) {
	before, after, found := strings.Cut(field, "%")
	if !found {
		return field, nil
	}
	if after == "" {
		return field, nil // as systemd does
	}
	known := map[byte]string{'%': "%", 'T': "/tmp", 'V': "/var/tmp"}
	value, ok := known[after[0]]
	if !ok {
		return "", fmt.Errorf("specifier %%%c: only %%%%, %%T and %%V are known here", after[0])
	}
	rest, err := expand(after[1:])
	return before + value + rest, err
}

// splitFields splits a line at blanks; quotes and backslashes protect them.
func splitFields(line string) (fields []string, err error) {
	var word strings.Builder
	inWord, escaped, quote := false, false, rune(0)
	for _, c := range line {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped, inWord = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\r':
			if inWord {
				fields = append(fields, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote or backslash is not closed")
	}
	if inWord {
		fields = append(fields, word.String())
	}
	return fields, nil
}
