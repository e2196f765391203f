package system

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"
)

// privileged says whether we may give files to others. An ordinary user owns
// all that he installs.
var privileged = os.Geteuid() == 0

// owners maps the names of users and groups to numbers, by those noted in the
// generation, then by the etc/passwd and etc/group of the target; never by those
// of the machine we run on.
type owners struct {
	users, groups map[string]uint32
	mine          bool // everything belongs to us, since we can give it to nobody
}

const (
	passwdPath  = "etc/passwd"
	groupPath   = "etc/group"
	shadowPath  = "etc/shadow"
	gshadowPath = "etc/gshadow"
	maxPasswd   = 16 << 20
)

func newOwners() *owners {
	return &owners{map[string]uint32{"root": 0}, map[string]uint32{"root": 0}, !privileged}
}

// addNumbers takes numbers; names already known stay as they are.
func addNumbers(into, from map[string]uint32) {
	for name, id := range from {
		if _, known := into[name]; !known {
			into[name] = id
		}
	}
}

// addGeneration takes the numbers that a generation notes.
func (o *owners) addGeneration(g *Generation) {
	addNumbers(o.users, g.Users)
	addNumbers(o.groups, g.Groups)
}

// addFile takes names from a passwd or group file; those already known stay.
func (o *owners) addFile(path string, data []byte) {
	into := o.users
	if path == groupPath {
		into = o.groups
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 {
			continue
		}
		id, err := strconv.ParseUint(fields[2], 10, 32)
		if _, known := into[fields[0]]; err == nil && !known {
			into[fields[0]] = uint32(id)
		}
	}
}

// addDisk takes the names of an installed system.
func (o *owners) addDisk(d *disk) error {
	for _, path := range []string{passwdPath, groupPath} {
		st, err := d.lstat(path)
		if err != nil {
			return err
		}
		if st == nil {
			continue
		}
		data, err := d.readFile(path, maxPasswd)
		if err != nil {
			return err
		}
		o.addFile(path, data)
	}
	return nil
}

// readContent reads a small file of a package completely.
func readContent(p *pkgfile.Package, f *pkgfile.File) ([]byte, error) {
	if f.Size > maxPasswd {
		return nil, fmt.Errorf("%s is larger than the %d bytes allowed", f.Path, maxPasswd)
	}
	r, err := p.OpenFrameFile(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// knows reports whether the owner and group of a file have numbers.
func (o *owners) knows(f *pkgfile.File) bool {
	_, _, err := o.of(f)
	return err == nil
}

// of returns the numbers of a file's owner and group: an ordinary user's own.
func (o *owners) of(f *pkgfile.File) (uid, gid uint32, err error) {
	if o.mine {
		uid, gid = myIDs()
		return uid, gid, nil
	}
	uid, ok := o.users[f.Owner]
	if !ok {
		return 0, 0, fmt.Errorf("%s belongs to user %q, which is not in etc/passwd", f.Path, f.Owner)
	}
	gid, ok = o.groups[f.Group]
	if !ok {
		return 0, 0, fmt.Errorf("%s belongs to group %q, which is not in etc/group", f.Path, f.Group)
	}
	return uid, gid, nil
}

// object is what the store calls a regular file, as it is on disk: an ordinary
// user's has no attributes that he could not set.
func (o *owners) object(e entry) (*store.Object, error) {
	f := e.object
	uid, gid, err := o.of(f)
	if err != nil {
		return nil, err
	}
	return &store.Object{SHA256: f.SHA256, Size: f.Size, Mode: f.Mode, UID: uid, GID: gid, Xattrs: o.settable(f.Xattrs),
		Time: e.member.manifest.Provenance.Epoch}, nil
}

// settable returns the extended attributes that we may set.
func (o *owners) settable(xattrs map[string][]byte) map[string][]byte {
	if !o.mine {
		return xattrs
	}
	var mine map[string][]byte
	for name, value := range xattrs {
		if strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "trusted.") {
			continue
		}
		if mine == nil {
			mine = map[string][]byte{}
		}
		mine[name] = value
	}
	return mine
}

// note keeps the numbers of all owners of coming files in the generation.
func (o *owners) note(g *Generation, come map[string]entry) {
	if o.mine {
		return
	}
	for _, e := range come {
		noteOne(&g.Users, o.users, e.object.Owner)
		noteOne(&g.Groups, o.groups, e.object.Group)
	}
}

func noteOne(into *map[string]uint32, known map[string]uint32, name string) {
	id, ok := known[name]
	if !ok || name == "root" {
		return
	}
	if *into == nil {
		*into = map[string]uint32{}
	}
	(*into)[name] = id
}

// myIDs are an ordinary user's own numbers.
func myIDs() (uid, gid uint32) { return uint32(os.Geteuid()), uint32(os.Getegid()) }
