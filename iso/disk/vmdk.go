package disk

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
	"os"
)

// The format is VMware's Virtual Disk Format 5.0, a stream-optimized sparse
// extent: what OVF packages and uploads to ESXi take.
const (
	vmdkMagic     = "KDMV"
	grainSectors  = blockSize / sectorSize
	grainsPerGT   = 512
	descriptorAt  = 1
	descriptorLen = 20  // sectors
	firstGrainAt  = 128 // sectors, as others place it
	vmdkFlags     = 1 | 1<<16 | 1<<17
	atEnd         = ^uint64(0) // the directory's place stands in the footer
	markerEnd     = 0
	markerTable   = 1
	markerDir     = 2
	markerFooter  = 3
)

var le = binary.LittleEndian

// WriteVMDK writes the raw disk f of size bytes as a stream-optimized VMDK.
// identity is its content id, by which snapshots know it.
func WriteVMDK(ctx context.Context, w io.Writer, f *os.File, size int64, name string, identity uint32, workers int) error {
	buffer := bufio.NewWriterSize(w, 1<<20)
	v := &vmdk{w: buffer, capacity: (size + sectorSize - 1) / sectorSize, table: -1}
	v.capacity = (v.capacity + grainSectors - 1) / grainSectors * grainSectors
	tables := (v.capacity/grainSectors + grainsPerGT - 1) / grainsPerGT
	v.directory = make([]byte, (tables*4+sectorSize-1)/sectorSize*sectorSize)
	v.write(v.header(atEnd))
	v.write(v.descriptor(name, identity))
	v.write(make([]byte, (firstGrainAt-v.sector)*sectorSize))
	err := blocks(ctx, f, size, workers, func(b *block) error { v.grain(b); return v.err })
	if err != nil {
		return err
	}
	v.finish()
	if v.err != nil {
		return v.err
	}
	return buffer.Flush()
}

type vmdk struct {
	w         io.Writer
	sector    int64 // where we are
	capacity  int64 // sectors
	directory []byte
	table     int64 // number of the grain table being filled, -1 for none
	entries   []byte
	err       error
}

// write writes whole sectors, filling up the last.
func (v *vmdk) write(b []byte) {
	if v.err != nil {
		return
	}
	if _, v.err = v.w.Write(b); v.err != nil {
		return
	}
	if over := len(b) % sectorSize; over > 0 {
		_, v.err = v.w.Write(zeros[:sectorSize-over])
	}
	v.sector += int64((len(b) + sectorSize - 1) / sectorSize)
}

func (v *vmdk) header(directoryAt uint64) []byte {
	b := make([]byte, sectorSize)
	copy(b, vmdkMagic)
	le.PutUint32(b[4:], 3) // version
	le.PutUint32(b[8:], vmdkFlags)
	le.PutUint64(b[12:], uint64(v.capacity))
	le.PutUint64(b[20:], grainSectors)
	le.PutUint64(b[28:], descriptorAt)
	le.PutUint64(b[36:], descriptorLen)
	le.PutUint32(b[44:], grainsPerGT)
	le.PutUint64(b[56:], directoryAt)
	le.PutUint64(b[64:], firstGrainAt)
	copy(b[73:], "\n \r\n") // shows a transfer that changes line ends
	le.PutUint16(b[77:], 1) // DEFLATE
	return b
}

func (v *vmdk) descriptor(name string, identity uint32) []byte {
	const heads, sectors = 255, 63
	text := fmt.Sprintf(`# Disk DescriptorFile
version=1
CID=%08x
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW %d SPARSE "%s"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "13"
ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "%d"
ddb.geometry.heads = "%d"
ddb.geometry.sectors = "%d"
`, identity, v.capacity, name, v.capacity/(heads*sectors), heads, sectors)
	b := make([]byte, descriptorLen*sectorSize)
	copy(b, text)
	return b
}

func (v *vmdk) grain(b *block) {
	if t := b.number / grainsPerGT; t != v.table {
		v.endTable()
		v.table, v.entries = t, make([]byte, grainsPerGT*4)
	}
	le.PutUint32(v.entries[b.number%grainsPerGT*4:], uint32(v.sector))
	// zlib: a head, DEFLATE, and the content's checksum
	marker := make([]byte, 12, 12+len(b.deflate)+6)
	le.PutUint64(marker, uint64(b.number*grainSectors))
	le.PutUint32(marker[8:], uint32(2+len(b.deflate)+4))
	marker = append(append(marker, 0x78, 0x9c), b.deflate...)
	v.write(binary.BigEndian.AppendUint32(marker, adler32.Checksum(b.raw)))
}

// mark announces sectors of metadata.
func (v *vmdk) mark(sectors, kind int64) {
	b := make([]byte, sectorSize)
	le.PutUint64(b, uint64(sectors))
	le.PutUint32(b[12:], uint32(kind))
	v.write(b)
}

func (v *vmdk) endTable() {
	if v.table < 0 {
		return
	}
	v.mark(int64(len(v.entries)/sectorSize), markerTable)
	le.PutUint32(v.directory[v.table*4:], uint32(v.sector))
	v.write(v.entries)
}

func (v *vmdk) finish() {
	v.endTable()
	v.mark(int64(len(v.directory)/sectorSize), markerDir)
	at := v.sector
	v.write(v.directory)
	v.mark(1, markerFooter)
	v.write(v.header(uint64(at)))
	v.mark(0, markerEnd)
}
