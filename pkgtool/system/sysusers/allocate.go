package sysusers

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
)

// Conf is a configuration file.
type Conf struct {
	Name string // its path, with a folder: of files with the same base name one in etc/ wins, then one in run/
	Text []byte
}

// Note tells what [Allocate] did.
type Note struct {
	What string `json:"what"` // "user", "group", "member" or "ignored"
	Name string `json:"name"`
	ID   uint32 `json:"id,omitempty"`   // of a new user or group
	Text string `json:"text,omitempty"` // of a member the group, of an ignored line the reason
}

// The range for numbers that no line gives, without r lines.
const (
	lowestID  = 1
	highestID = 999
)

// Allocate adds to the texts what the files ask for, and notes each addition.
// A text that needs no change comes back as it is; shadow texts that are nil
// (the system has none) stay nil.
//
// Errors of [fault.Usage]: a line that cannot be understood, a primary group
// that does not exist, no free number.
func Allocate(conf []Conf, now Texts) (Texts, []Note, error) {
	r := &request{byUser: map[string]*item{}, byGroup: map[string]*item{}, members: map[string][]string{}}
	for _, c := range effective(conf) {
		for n, line := range strings.Split(string(c.Text), "\n") {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			if err := r.addLine(line); err != nil {
				err = fmt.Errorf("%s:%d: %w", c.Name, n+1, err)
				return now, nil, fault.Mark(err, fault.Usage, "mend the line, or put a file of the same name into /etc/sysusers.d")
			}
		}
	}
	r.addImplied()
	a := newAllocation(now, r.ranges)
	for _, g := range r.groups {
		if err := a.addGroup(g); err != nil {
			return now, nil, err
		}
	}
	for _, u := range r.users {
		if err := a.addUserAndGroup(u, r.byGroup); err != nil {
			return now, nil, err
		}
	}
	next, notes := now.with(a, r)
	return next, append(notes, r.notes...), nil
}

// effective returns the files in the order in which they count.
func effective(conf []Conf) []Conf {
	rank := func(c Conf) int {
		switch {
		case strings.HasPrefix(strings.TrimPrefix(c.Name, "/"), "etc/"):
			return 0
		case strings.HasPrefix(strings.TrimPrefix(c.Name, "/"), "run/"):
			return 1
		}
		return 2
	}
	conf = slices.Clone(conf)
	slices.SortStableFunc(conf, func(x, y Conf) int {
		return cmp.Or(strings.Compare(path.Base(x.Name), path.Base(y.Name)), cmp.Compare(rank(x), rank(y)))
	})
	return slices.CompactFunc(conf, func(x, y Conf) bool { return path.Base(x.Name) == path.Base(y.Name) })
}

// addImplied adds the users and groups that only m lines name.
func (r *request) addImplied() {
	for _, group := range r.memberGroups {
		for _, user := range r.members[group] {
			if r.byUser[user] == nil {
				r.put(r.byUser, &r.users, &item{name: user}, "user")
			}
		}
		if r.byUser[group] == nil && r.byGroup[group] == nil {
			r.put(r.byGroup, &r.groups, &item{name: group}, "group")
		}
	}
}

// allocation knows which numbers are taken, by whom.
type allocation struct {
	users, groups         map[string]uint32 // what existed before
	userNames, groupNames map[uint32]string // with what was added
	ranges                []bounds
	next                  int64 // the next number to try, going down
	newUsers, newGroups   []*item
}

func newAllocation(now Texts, ranges []bounds) *allocation {
	if len(ranges) == 0 {
		ranges = []bounds{{lowestID, highestID}}
	}
	a := &allocation{ranges: ranges, next: 1<<32 - 1}
	a.users, a.userNames = database(now.Passwd)
	a.groups, a.groupNames = database(now.Group)
	return a
}

// freeUID reports whether a user may get a number. With loose, one of a group
// with another name is refused as well.
func (a *allocation) freeUID(id uint32, name string, loose bool) bool {
	if _, taken := a.userNames[id]; taken {
		return false
	}
	group, taken := a.groupNames[id]
	return !loose || !taken || group == name
}

func (a *allocation) freeGID(id uint32, name string, loose bool) bool {
	if _, taken := a.groupNames[id]; taken {
		return false
	}
	user, taken := a.userNames[id]
	return !loose || !taken || user == name
}

// nextLower returns the highest number of the ranges below all it gave before.
func (a *allocation) nextLower() (uint32, bool) {
	best := int64(-1)
	for _, b := range a.ranges {
		if int64(b.low) < a.next {
			best = max(best, min(int64(b.high), a.next-1))
		}
	}
	if best < 0 {
		return 0, false
	}
	a.next = best
	return uint32(best), true
}

func (a *allocation) pick(name string, free func(uint32, string, bool) bool) (uint32, error) {
	for {
		id, ok := a.nextLower()
		if !ok {
			return 0, fault.Mark(fmt.Errorf("no number is left for %s", name), fault.Usage,
				"remove users that are not needed from /etc/passwd, or widen the range with an r line in /etc/sysusers.d")
		}
		if free(id, name, true) {
			return id, nil
		}
	}
}

func (a *allocation) addGroup(i *item) error {
	if id, exists := a.groups[i.name]; exists {
		i.gid, i.hasGID = id, true
		return nil
	}
	if i.hasGID {
		free := a.freeGID(i.gid, i.name, !i.strict)
		if i.strict {
			if free {
				return fault.Mark(fmt.Errorf("user %s wants group %d, which does not exist", i.name, i.gid), fault.Usage,
					"make that group with a g line, or leave the number away")
			}
			return nil
		}
		i.hasGID = free
	}
	if !i.hasGID && i.hasUID && a.freeGID(i.uid, i.name, true) {
		i.gid, i.hasGID = i.uid, true
	}
	if !i.hasGID {
		id, err := a.pick(i.name, a.freeGID)
		if err != nil {
			return err
		}
		i.gid, i.hasGID = id, true
	}
	i.newGroup = true
	a.groupNames[i.gid] = i.name
	a.newGroups = append(a.newGroups, i)
	return nil
}

func (a *allocation) addUserAndGroup(i *item, byGroup map[string]*item) error {
	queued := (*item)(nil)
	if !i.hasGID {
		queued = byGroup[cmp.Or(i.groupName, i.name)]
	}
	switch {
	case queued != nil && queued.newGroup:
		i.gid, i.hasGID, i.strict = queued.gid, queued.hasGID, true
	case i.groupName != "":
		id, exists := a.groups[i.groupName]
		if !exists {
			return fault.Mark(fmt.Errorf("user %s wants group %s, which does not exist", i.name, i.groupName), fault.Usage,
				"make that group with a g line")
		}
		i.gid, i.hasGID, i.strict = id, true, true
	default:
		if err := a.addGroup(i); err != nil {
			return err
		}
	}
	return a.addUser(i)
}

func (a *allocation) addUser(i *item) error {
	if _, exists := a.users[i.name]; exists {
		return nil
	}
	i.hasUID = i.hasUID && a.freeUID(i.uid, i.name, !i.strict)
	if !i.hasUID && i.hasGID && a.freeUID(i.gid, i.name, true) {
		i.uid, i.hasUID = i.gid, true
	}
	if !i.hasUID {
		id, err := a.pick(i.name, a.freeUID)
		if err != nil {
			return err
		}
		i.uid, i.hasUID = id, true
	}
	i.newUser = true
	a.userNames[i.uid] = i.name
	a.newUsers = append(a.newUsers, i)
	return nil
}

// with returns the texts with what was added.
func (t Texts) with(a *allocation, r *request) (Texts, []Note) {
	var notes []Note
	var passwd, group, shadow, gshadow bytes.Buffer
	for _, g := range a.newGroups {
		fmt.Fprintf(&group, "%s:x:%d:\n", g.name, g.gid)
		fmt.Fprintf(&gshadow, "%s:!*::\n", g.name)
		notes = append(notes, Note{What: "group", Name: g.name, ID: g.gid})
	}
	for _, u := range a.newUsers {
		shell := "/usr/sbin/nologin"
		if u.uid == 0 {
			shell = "/bin/sh"
		}
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s:%s:%s\n", u.name, u.uid, u.gid, u.gecos, cmp.Or(u.home, "/"), cmp.Or(u.shell, shell))
		fmt.Fprintf(&shadow, "%s:!*:::::::\n", u.name)
		notes = append(notes, Note{What: "user", Name: u.name, ID: u.uid})
	}
	next := Texts{Passwd: insert(t.Passwd, passwd.Bytes()), Group: insert(t.Group, group.Bytes()), Shadow: t.Shadow, Gshadow: t.Gshadow}
	if t.Shadow != nil {
		next.Shadow = insert(t.Shadow, shadow.Bytes())
	}
	if t.Gshadow != nil {
		next.Gshadow = insert(t.Gshadow, gshadow.Bytes())
	}
	var added []Note
	next.Group, added = addMembers(next.Group, r.members)
	next.Gshadow, _ = addMembers(next.Gshadow, r.members)
	return next, append(notes, added...)
}
