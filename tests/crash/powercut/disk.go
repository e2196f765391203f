// Package powercut makes disks that lose power. A Disk is a file of a FUSE file
// system that remembers every write and every flush in the order in which they
// were completed; a loop device on it carries a real file system. From the log,
// Image makes what a real disk can hold after the power went: everything up to a
// flush, and any part of what was written after it.
package powercut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Block is the unit in which a disk keeps its content, in bytes.
const Block = 4096

// event is a write, or a flush if it has no data.
type event struct {
	offset int64
	data   []byte
}

// Disk is a disk with a memory of what was done to it. Only what is not zero
// takes space.
type Disk struct {
	Size int64
	Path string // the file for a loop device, while the disk is served

	mu     sync.Mutex
	base   map[int64][]byte // content when the log begins, by block
	now    map[int64][]byte
	events []event
	server *fuse.Server
}

// NewDisk returns a disk of zeros.
func NewDisk(size int64) *Disk {
	return &Disk{Size: size, base: map[int64][]byte{}, now: map[int64][]byte{}}
}

// Serve offers the disk as a file below mountpoint, an empty folder.
func (d *Disk) Serve(mountpoint string) error {
	root := &folder{disk: d}
	server, err := fs.Mount(mountpoint, root, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, FsName: "powercut", MaxWrite: 256 << 10, DisableXAttrs: true,
	}})
	if err != nil {
		return fmt.Errorf("serve a disk: %w", err)
	}
	d.server, d.Path = server, filepath.Join(mountpoint, "disk")
	return nil
}

// Close ends Serve. Loop devices must be gone.
func (d *Disk) Close() error {
	if d.server == nil {
		return nil
	}
	err := d.server.Unmount()
	for range 100 { // a loop device lets go of its file some time after losetup -d
		if err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
		err = d.server.Unmount()
	}
	d.server, d.Path = nil, ""
	return err
}

// Begin forgets the log: what the disk holds now is what every image begins with.
func (d *Disk) Begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.base = map[int64][]byte{}
	for n, block := range d.now {
		d.base[n] = block // blocks are never changed, only replaced
	}
	d.events = nil
}

// Events is the number of writes and flushes since Begin.
func (d *Disk) Events() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.events)
}

// Flushes lists the numbers of events after which all before are safe.
func (d *Disk) Flushes() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var at []int
	for i, e := range d.events {
		if e.data == nil {
			at = append(at, i+1)
		}
	}
	return at
}

// Image writes to path what the disk can hold if the power goes after the first
// n events: all up to the last flush among them, and of the later writes those
// that keep says, which is asked once for each in order.
func (d *Disk) Image(path string, n int, keep func() bool) error {
	d.mu.Lock()
	events := d.events[:n]
	content := map[int64][]byte{}
	for b, block := range d.base {
		content[b] = block
	}
	d.mu.Unlock()
	flushed := 0
	for i, e := range events {
		if e.data == nil {
			flushed = i + 1
		}
	}
	for i, e := range events {
		if e.data != nil && (i < flushed || keep()) {
			overlay(content, e)
		}
	}
	return write(path, d.Size, content)
}

// write makes a sparse file.
func write(path string, size int64, content map[int64][]byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	for b, block := range content {
		if err == nil {
			_, err = f.WriteAt(block, b*Block)
		}
	}
	return errors.Join(err, f.Close())
}

// overlay puts a write over content, without changing a block in place.
func overlay(content map[int64][]byte, e event) {
	for done := int64(0); done < int64(len(e.data)); {
		b, within := (e.offset+done)/Block, (e.offset+done)%Block
		part := min(Block-within, int64(len(e.data))-done)
		block := make([]byte, Block)
		copy(block, content[b])
		copy(block[within:], e.data[done:done+part])
		content[b] = block
		done += part
	}
}

func (d *Disk) read(dest []byte, offset int64) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	end := min(offset+int64(len(dest)), d.Size)
	if offset >= end {
		return nil
	}
	dest = dest[:end-offset]
	clear(dest)
	for at := offset; at < end; {
		b, within := at/Block, at%Block
		part := min(Block-within, end-at)
		if block := d.now[b]; block != nil {
			copy(dest[at-offset:], block[within:within+part])
		}
		at += part
	}
	return dest
}

func (d *Disk) write(data []byte, offset int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := event{offset, slices.Clone(data)}
	d.events = append(d.events, e)
	overlay(d.now, e)
}

func (d *Disk) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.events); n > 0 && d.events[n-1].data == nil {
		return // nothing came between
	}
	d.events = append(d.events, event{})
}

// folder is the root of the FUSE file system; file is what is in it.
type folder struct {
	fs.Inode
	disk *Disk
}

var _ = (fs.NodeOnAdder)((*folder)(nil))

func (f *folder) OnAdd(ctx context.Context) {
	child := f.NewPersistentInode(ctx, &file{disk: f.disk}, fs.StableAttr{Mode: syscall.S_IFREG})
	f.AddChild("disk", child, true)
}

type file struct {
	fs.Inode
	disk *Disk
}

var _ = (fs.NodeOpener)((*file)(nil))
var _ = (fs.NodeReader)((*file)(nil))
var _ = (fs.NodeWriter)((*file)(nil))
var _ = (fs.NodeFsyncer)((*file)(nil))
var _ = (fs.NodeGetattrer)((*file)(nil))

func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blksize = syscall.S_IFREG|0o600, uint64(f.disk.Size), Block
	return 0
}

func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultData(f.disk.read(dest, offset)), 0
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	if offset+int64(len(data)) > f.disk.Size {
		return 0, syscall.ENOSPC
	}
	f.disk.write(data, offset)
	return uint32(len(data)), 0
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	f.disk.flush()
	return 0
}
