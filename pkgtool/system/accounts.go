package system

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/sysusers"
)

// sysusersDir holds the files that ask for users and groups, see sysusers.d(5).
const sysusersDir = treeTop + "/lib/sysusers.d"

// resolveOwners finds numbers for all owners of coming files. If a package that
// comes may bring the names that are missing, but cannot be read yet, that is
// left to Commit.
func (p *Plan) resolveOwners() error {
	p.owners = newOwners()
	p.owners.addGeneration(p.next)
	p.owners.addGeneration(p.from)
	if err := p.owners.addDisk(p.system.disk); err != nil {
		return err
	}
	p.unsettled = p.bringsAccounts()
	if !p.unsettled || p.checkOwners() == nil {
		return p.checkOwners() // Commit gives the accounts their lines
	}
	if err := p.settleAccounts(); err != nil && !errors.Is(err, errUnknownOwner) {
		return nil // not readable yet
	}
	return p.checkOwners()
}

// bringsAccounts reports whether a coming file can make users or groups known.
func (p *Plan) bringsAccounts() bool {
	if len(p.sysusersFiles()) > 0 {
		return true
	}
	for _, name := range []string{passwdPath, groupPath} {
		if _, comes := p.live.come[name]; comes {
			return true
		}
	}
	return false
}

// sysusersFiles returns the coming files that ask for users, by name.
func (p *Plan) sysusersFiles() []string {
	var files []string
	for name, e := range p.live.come {
		if path.Dir(name) == sysusersDir && strings.HasSuffix(name, ".conf") && e.file.Type == pkgfile.TypeFile && !p.live.same(name) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files
}

var errUnknownOwner = errors.New("unknown owner")

func (p *Plan) checkOwners() error {
	for _, e := range p.live.come {
		if _, _, err := p.owners.of(e.object); err != nil {
			return fmt.Errorf("package %s: %w (%w)", e.member.manifest.Name, err, errUnknownOwner)
		}
	}
	return nil
}

// settleAccounts gives the users and groups that coming packages ask for their
// numbers, and keeps the texts of etc/passwd and its like that follow from it.
func (p *Plan) settleAccounts() error {
	var now sysusers.Texts
	for _, t := range accountTexts(&now) {
		data, err := p.accountText(t.path)
		if err != nil {
			return err
		}
		*t.text = data
	}
	conf, err := p.sysusersConf()
	if err != nil {
		return err
	}
	next, _, err := sysusers.Allocate(conf, now)
	if err != nil {
		return err
	}
	p.owners.addFile(passwdPath, next.Passwd)
	p.owners.addFile(groupPath, next.Group)
	p.accounts = map[string][]byte{}
	before := accountTexts(&now)
	for i, t := range accountTexts(&next) {
		if !bytes.Equal(*t.text, *before[i].text) {
			p.accounts[t.path] = *t.text
		}
	}
	p.unsettled = false
	return nil
}

// sysusersAdmin holds the administrator's own files.
const sysusersAdmin = "etc/sysusers.d"

// sysusersConf reads all files of the target that ask for users: those that
// come, those that are on disk and stay, and the administrator's.
func (p *Plan) sysusersConf() ([]sysusers.Conf, error) {
	var conf []sysusers.Conf
	for _, name := range p.sysusersFiles() {
		data, err := p.contentOf(p.live.come[name])
		if err != nil {
			return nil, err
		}
		conf = append(conf, sysusers.Conf{Name: name, Text: data})
	}
	for _, dir := range []string{sysusersDir, sysusersAdmin} {
		names, err := p.system.disk.list(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, base := range names {
			name := dir + "/" + base
			if _, leaves := p.live.gone[name]; leaves || !strings.HasSuffix(name, ".conf") {
				continue
			}
			if _, comes := p.live.come[name]; comes && dir == sysusersDir {
				continue
			}
			data, err := p.system.disk.readFile(name, maxPasswd)
			if err != nil {
				return nil, err
			}
			conf = append(conf, sysusers.Conf{Name: name, Text: data})
		}
	}
	return conf, nil
}

type accountText struct {
	path string
	text *[]byte
	mode uint32 // where the file is missing
}

func accountTexts(t *sysusers.Texts) []accountText {
	return []accountText{{passwdPath, &t.Passwd, 0o644}, {groupPath, &t.Group, 0o644}, {shadowPath, &t.Shadow, 0o600}, {gshadowPath, &t.Gshadow, 0o600}}
}

// accountText is what a file will hold after the packages' own text, if there is
// none yet, has been written.
func (p *Plan) accountText(name string) ([]byte, error) {
	if i, planned := p.stagedAt[name]; planned {
		f := p.staged[p.moves[i].Staged-1]
		if f.like != nil {
			return f.text, nil
		}
		return p.contentOf(f.entry)
	}
	data, err := p.system.disk.readFile(name, maxPasswd)
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoFolder) {
		return data, err
	}
	if e, comes := p.live.come[name]; comes && e.file.Type == pkgfile.TypeFile {
		return p.contentOf(e)
	}
	return nil, nil
}

// contentOf reads a coming file from its package, else from the store.
func (p *Plan) contentOf(e entry) ([]byte, error) {
	if e.object.Size == 0 {
		return []byte{}, nil
	}
	if e.member.content != nil {
		data, err := readContent(e.member.content, e.object)
		if err == nil {
			return data, nil
		}
		if !p.owners.knows(e.object) {
			return nil, err
		}
	}
	o, err := p.owners.object(e)
	if err != nil {
		return nil, err
	}
	f, err := p.system.openObject(o)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, o.Size+1))
	if err == nil && hexSum(data) != o.SHA256 {
		err = damaged(fmt.Errorf("%s: its object in the store is damaged", e.file.Path))
	}
	return data, err
}
