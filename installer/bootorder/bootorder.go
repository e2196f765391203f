package bootorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// vendor is EFI_GLOBAL_VARIABLE.
const vendor = "8be4df61-93ca-11d2-aa0d-00e098032b8c"

// attributes: kept without power, for boot and run time.
const attributes = 0x01 | 0x02 | 0x04

// maxVariable bounds a variable, in bytes; firmware has some hundred KiB for all.
const maxVariable = 64 << 10

// Order is what firmware would start.
type Order struct {
	Options  []Option // by number
	Sequence []uint16 // BootOrder: numbers of options, first the first
	Current  int      // BootCurrent: the number of the option that was started; -1 if that is not known

	dir string
}

// Read reads the variables in dir, which is efivarfs. An option that cannot be
// read is left out, and stays as it is.
func Read(dir string) (*Order, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	o := &Order{dir: dir, Current: -1}
	for _, name := range names {
		n, ok := optionNumber(name.Name())
		if !ok {
			continue
		}
		content, err := o.read(name.Name())
		if err != nil {
			return nil, err
		}
		if option, err := decode(n, content); err == nil {
			o.Options = append(o.Options, option)
		}
	}
	content, err := o.read("BootCurrent-" + vendor)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(content) == 2 {
		o.Current = int(binary.LittleEndian.Uint16(content))
	}
	if content, err = o.read("BootOrder-" + vendor); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for ; len(content) >= 2; content = content[2:] {
		o.Sequence = append(o.Sequence, binary.LittleEndian.Uint16(content))
	}
	return o, nil
}

// FromNetwork says whether firmware started this machine over a network.
func (o *Order) FromNetwork() bool {
	return slices.ContainsFunc(o.Options, func(option Option) bool { return int(option.Number) == o.Current && option.Network })
}

// optionNumber reads Boot0001-8be4df61-....
func optionNumber(name string) (uint16, bool) {
	if len(name) != 4+4+1+len(vendor) || name[:4] != "Boot" || name[8:] != "-"+vendor {
		return 0, false
	}
	n, err := strconv.ParseUint(name[4:8], 16, 16)
	return uint16(n), err == nil
}

func variable(number uint16) string { return fmt.Sprintf("Boot%04X-%s", number, vendor) }

func (o *Order) read(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(o.dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxVariable))
	if err != nil {
		return nil, fmt.Errorf("read the firmware's variable %s: %w", name, err)
	}
	if len(content) < 4 {
		return nil, nil // the attributes stand in front
	}
	return content[4:], nil
}

// Add makes options of targets, which are tried in their order, before all others
// if first is true and else after them. Options on the partitions of gone are
// removed: those were overwritten. New options are there before the order names
// them, and old ones go last, so that a failure leaves an order that works.
func (o *Order) Add(targets []Target, first bool, gone []uuid.UUID) error {
	sequence := slices.Clone(o.Sequence)
	var added, removed []uint16
	for _, option := range o.Options {
		if option.Partition != (uuid.UUID{}) && slices.Contains(gone, option.Partition) {
			removed = append(removed, option.Number)
		}
	}
	for _, t := range targets {
		number, err := o.free()
		if err != nil {
			return err
		}
		if err := o.write(variable(number), t.encode()); err != nil {
			return err
		}
		o.Options = append(o.Options, Option{Number: number, Title: t.Title, Partition: t.Partition})
		added = append(added, number)
	}
	sequence = slices.DeleteFunc(sequence, func(n uint16) bool { return slices.Contains(removed, n) || slices.Contains(added, n) })
	if first {
		sequence = append(added, sequence...)
	} else {
		sequence = append(sequence, added...)
	}
	var content []byte
	for _, n := range sequence {
		content = binary.LittleEndian.AppendUint16(content, n)
	}
	if err := o.write("BootOrder-"+vendor, content); err != nil {
		return err
	}
	o.Sequence = sequence
	for _, n := range removed {
		path := filepath.Join(o.dir, variable(n))
		if err := errors.Join(changeable(path), os.Remove(path)); err != nil {
			return fmt.Errorf("remove the firmware's variable Boot%04X: %w", n, err)
		}
	}
	o.Options = slices.DeleteFunc(o.Options, func(option Option) bool { return slices.Contains(removed, option.Number) })
	return nil
}

// free is the lowest number that no option has, not even one that cannot be read.
func (o *Order) free() (uint16, error) {
	for n := range 0x10000 {
		_, err := os.Lstat(filepath.Join(o.dir, variable(uint16(n))))
		if errors.Is(err, fs.ErrNotExist) {
			return uint16(n), nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, errors.New("the firmware has no number left for another boot option")
}

// write writes a variable in one call, as the firmware takes it.
func (o *Order) write(name string, content []byte) (err error) {
	path := filepath.Join(o.dir, name)
	if err := changeable(path); err != nil {
		return fmt.Errorf("write the firmware's variable %s: %w", name, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(append(binary.LittleEndian.AppendUint32(nil, attributes), content...)); err != nil {
		return fmt.Errorf("write the firmware's variable %s: %w", name, err)
	}
	return nil
}

// changeable takes off the protection that Linux gives variables that are there.
// Other file systems than efivarfs have none.
func changeable(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}
