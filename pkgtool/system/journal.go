package system

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// journal is the committed rest of a transaction: what must still happen so
// that the tree becomes that of generation To. Every operation can be done
// again when it has been done already.
type journal struct {
	Format     int         `json:"format"`
	From       int         `json:"from"`
	To         int         `json:"to"`
	Operations []operation `json:"operations"`
}

const maxJournal = 1 << 30 // bytes

// The operations.
const (
	doUnlink = "unlink" // remove what is no folder
	doRmdir  = "rmdir"  // remove a folder if it is empty
	doMkdir  = "mkdir"  // make a folder, or give an existing one mode and owner
	doPut    = "put"    // move staged file N to the path
	doChmod  = "chmod"  // give a folder its mode

	doExchange = "exchange" // make the tree at From that at Path, whose place it takes
	doMove     = "move"     // rename From to Path, unless something is there
	doSave     = "save"     // the same for what is kept aside
	doTime     = "time"     // give a folder the time of those that nobody else changed
)

type operation struct {
	Do     string            `json:"do"`
	Path   string            `json:"path"`
	From   string            `json:"from,omitempty"`
	Tree   string            `json:"tree,omitempty"` // identity of the tree that is at Path afterwards
	Staged int               `json:"staged,omitempty"`
	Mode   uint32            `json:"mode,omitempty"`
	UID    uint32            `json:"uid,omitempty"`
	GID    uint32            `json:"gid,omitempty"`
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
}

// readJournal returns the journal of an unfinished transaction, or nil.
func (d *disk) readJournal() (*journal, error) {
	data, err := d.readFile(journalPath, maxJournal)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	j, err := decodeJournal(data)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%s is damaged: %w", journalPath, err), fault.Security,
			"remove the file, then run pkgtool verify --repair, which makes the system the last whole generation again")
	}
	if !knownFormat(j.Format) {
		return nil, fmt.Errorf("the journal has format %d, this pkgtool knows %d; finish with the pkgtool that began", j.Format, formatVersion)
	}
	return j, nil
}

// encode writes the journal and a line with its hash.
func (j *journal) encode() ([]byte, error) {
	data, err := encodeJSON(j)
	return append(data, hexSum(data)+"\n"...), err
}

func decodeJournal(data []byte) (*journal, error) {
	j := &journal{}
	body, sum, _ := bytes.Cut(data, []byte("\n"))
	if err := json.Unmarshal(body, j); err != nil {
		return nil, err
	}
	// Format 1 had no hash.
	if j.Format != 1 && string(sum) != hexSum(data[:len(body)+1])+"\n" {
		return nil, errors.New("its hash is not right")
	}
	return j, nil
}

// complete does everything that is left of a committed transaction.
func (s *System) complete(j *journal) error {
	d := s.disk
	if err := d.apply(j.Operations); err != nil {
		return err
	}
	temporary := currentPath + ".tmp"
	if err := d.unlink(temporary); err != nil {
		return err
	}
	if err := d.symlink(fmt.Sprintf("generations/%d", j.To), temporary); err != nil {
		return err
	}
	if err := d.rename(temporary, currentPath); err != nil {
		return err
	}
	if err := d.syncAll(); err != nil {
		return err
	}
	if err := s.store.Seal(); err != nil {
		return err
	}
	if err := d.unlink(journalPath); err != nil {
		return err
	}
	if err := d.syncFolder(stateDir); err != nil {
		return err
	}
	return d.removeAll(stagingDir)
}

// apply does the operations in order.
func (d *disk) apply(operations []operation) error {
	staging, err := d.folder(stagingDir)
	if err == nil {
		staging, err = unix.FcntlInt(uintptr(staging), unix.F_DUPFD_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer unix.Close(staging)
	for _, o := range operations {
		err := d.applyOne(staging, o)
		if errors.Is(err, unix.EACCES) && !privileged {
			err = d.inWritable(o.Path, func() error { return d.applyOne(staging, o) })
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", o.Do, o.Path, err)
		}
	}
	return nil
}

func (d *disk) applyOne(staging int, o operation) error {
	switch o.Do {
	case doUnlink:
		return d.unlink(o.Path)
	case doRmdir:
		return d.rmdir(o.Path)
	case doMkdir:
		err := d.mkdir(o.Path, 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return d.setFolder(o)
	case doChmod:
		return d.setFolder(o)
	case doPut:
		return d.putStaged(staging, o)
	case doExchange:
		return d.exchangeTree(o)
	case doMove:
		_, err := d.move(o.From, o.Path)
		return err
	case doSave:
		if err := d.makeAll(folderOf(o.Path), 0o700); err != nil {
			return err
		}
		_, err := d.move(o.From, o.Path)
		return err
	case doTime:
		err := d.setTime(o.Path, treeTime)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
			return nil
		}
		return err
	default:
		return damaged(fmt.Errorf("the journal has an unknown operation"))
	}
}

// putStaged renames a staged file into place. On another file system it is
// copied beside its place first.
func (d *disk) putStaged(staging int, o operation) error {
	name := strconv.Itoa(o.Staged)
	err := d.renameFrom(staging, name, o.Path)
	if errors.Is(err, unix.EXDEV) {
		err = d.copyStaged(staging, name, o.Path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if st, statErr := d.lstat(o.Path); statErr == nil && st != nil {
			return nil // an earlier run has moved it
		}
	}
	return err
}

// exchangeTree puts a new tree in the place of the old one, unless an earlier
// run has done so. What a tree is stands in it.
func (d *disk) exchangeTree(o operation) error {
	live, err := d.identity("")
	if err != nil {
		return err
	}
	if live == o.Tree {
		return nil
	}
	spare, err := d.identity(folderOf(o.From))
	if err != nil {
		return err
	}
	if spare != o.Tree {
		return damaged(fmt.Errorf("neither %s nor %s is the tree of the new generation", o.Path, o.From))
	}
	st, err := d.lstat(o.Path)
	if err != nil {
		return err
	}
	if st == nil { // the first tree of all
		_, err := d.move(o.From, o.Path)
		return err
	}
	return d.exchange(o.From, o.Path)
}

// setFolder gives a folder its owner, mode and attributes. The mode comes last
// because changing the owner can clear bits.
func (d *disk) setFolder(o operation) error {
	return d.change("set", o.Path, func(fd int, base string) error {
		n, err := unix.Openat(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(n)
		if privileged {
			if err := unix.Fchown(n, int(o.UID), int(o.GID)); err != nil {
				return err
			}
		}
		if err := unix.Fchmod(n, o.Mode); err != nil {
			return err
		}
		return setXattrs(n, o.Xattrs)
	})
}

// inWritable makes the folder of path writable for an ordinary user who owns
// it, and gives it back its mode.
func (d *disk) inWritable(path string, do func() error) error {
	above := parents(path)
	if len(above) == 0 {
		return do()
	}
	dir := above[len(above)-1]
	st, err := d.lstat(dir)
	if err != nil || st == nil {
		return errors.Join(do(), err)
	}
	mode := st.Mode & 0o7777
	if err := d.setFolder(operation{Path: dir, Mode: mode | 0o700}); err != nil {
		return err
	}
	return errors.Join(do(), d.setFolder(operation{Path: dir, Mode: mode}))
}

// setXattrs sets extended attributes on an open file. An ordinary user cannot
// set security.* and trusted.*; those are left out then.
func setXattrs(fd int, xattrs map[string][]byte) error {
	for name, value := range xattrs {
		err := unix.Fsetxattr(fd, name, value, 0)
		if errors.Is(err, unix.EPERM) && !privileged {
			continue
		}
		if err != nil {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	return nil
}
