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
)

// privileged says whether we may give files to others. An ordinary user owns
// all that he installs.
var privileged = os.Geteuid() == 0

// owners maps the names of users and groups to numbers, by the etc/passwd and
// etc/group of the target and of the packages that come into it; never by
// those of the machine we run on.
type owners struct{ users, groups map[string]uint32 }

const (
	passwdPath = "etc/passwd"
	groupPath  = "etc/group"
	maxPasswd  = 16 << 20
)

func newOwners() *owners {
	return &owners{map[string]uint32{"root": 0}, map[string]uint32{"root": 0}}
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

// addPackage takes the names that a package brings.
func (o *owners) addPackage(p *pkgfile.Package) error {
	for _, path := range []string{passwdPath, groupPath} {
		f := p.Manifest().File(path)
		if f == nil || f.Type != pkgfile.TypeFile || f.Size > maxPasswd {
			continue
		}
		r, err := p.OpenFrameFile(f)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return err
		}
		o.addFile(path, data)
	}
	return nil
}

// of returns the numbers of a file's owner and group.
func (o *owners) of(f *pkgfile.File) (uid, gid uint32, err error) {
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
