package bootorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"unicode/utf16"

	"github.com/google/uuid"
)

// Target is a program on a GPT partition that firmware can start.
type Target struct {
	Title     string    // for people, in the firmware's menu
	Number    uint32    // of the partition, from 1
	Start     uint64    // of the partition, in blocks of the disk
	Size      uint64    // of the partition, in blocks
	Partition uuid.UUID // of the partition
	Path      string    // of the program on it, with slashes
}

// active makes firmware try the option in its order.
const active = 1

// Types of nodes of device paths (10.3).
const (
	nodeMedia, nodeHardDrive, nodeFile = 4, 1, 4
	nodeEnd, nodeWhole                 = 0x7f, 0xff
	nodeMessaging                      = 3
)

// networkNodes are the types of messaging nodes for a card's address, IPv4, IPv6
// and a URI.
var networkNodes = []byte{11, 12, 13, 24}

// encode writes an EFI_LOAD_OPTION.
func (t Target) encode() []byte {
	drive := binary.LittleEndian.AppendUint32(nil, t.Number)
	drive = binary.LittleEndian.AppendUint64(drive, t.Start)
	drive = binary.LittleEndian.AppendUint64(drive, t.Size)
	drive = append(drive, firmwareOrder(t.Partition)...)
	drive = append(drive, 2, 2) // a GPT, and its partition by GUID
	path := node(nodeMedia, nodeHardDrive, drive)
	path = append(path, node(nodeMedia, nodeFile, text(string(bytes.ReplaceAll([]byte("/"+t.Path), []byte("/"), []byte(`\`)))))...)
	path = append(path, node(nodeEnd, nodeWhole, nil)...)
	b := binary.LittleEndian.AppendUint32(nil, active)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(path)))
	b = append(b, text(t.Title)...)
	return append(b, path...)
}

func node(kind, subkind byte, data []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{kind, subkind}, uint16(4+len(data)))
	return append(b, data...)
}

// text is UTF-16 with an end, as firmware has it.
func text(s string) (b []byte) {
	for _, unit := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

// firmwareOrder is a GUID as UEFI stores it: the first three fields little-endian.
// It is its own inverse.
func firmwareOrder(u uuid.UUID) []byte {
	return []byte{u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]}
}

// Option is a variable Boot####.
type Option struct {
	Number    uint16
	Title     string
	Partition uuid.UUID // that its program is on; zero if it is not on a GPT partition
	Network   bool      // its program comes over a network
}

// decode reads an EFI_LOAD_OPTION, as far as it is of interest.
func decode(number uint16, b []byte) (Option, error) {
	o := Option{Number: number}
	if len(b) < 6 {
		return o, errors.New("it is cut off")
	}
	size := int(binary.LittleEndian.Uint16(b[4:]))
	b = b[6:]
	var units []uint16
	for {
		if len(b) < 2 {
			return o, errors.New("its title has no end")
		}
		unit := binary.LittleEndian.Uint16(b)
		b = b[2:]
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	o.Title = string(utf16.Decode(units))
	if size > len(b) {
		return o, errors.New("its path is cut off")
	}
	for path := b[:size]; len(path) >= 4; {
		length := int(binary.LittleEndian.Uint16(path[2:]))
		if length < 4 || length > len(path) {
			return o, errors.New("its path has a node of a wrong size")
		}
		if path[0] == nodeMedia && path[1] == nodeHardDrive && length == 42 && path[40] == 2 && path[41] == 2 {
			o.Partition = uuid.UUID(firmwareOrder(uuid.UUID(path[24:40])))
		}
		if path[0] == nodeMessaging && slices.Contains(networkNodes, path[1]) {
			o.Network = true
		}
		path = path[length:]
	}
	return o, nil
}
