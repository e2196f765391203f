package disk

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"slices"
)

// The format is that of QEMU's docs/interop/qcow2.txt, version 3.
const (
	qcowMagic      = 0x514649fb
	qcowVersion    = 3
	clusterBits    = 16
	l2Entries      = blockSize / 8
	countsPerBlock = blockSize / 2 // reference counts of 16 bits
	copied         = 1 << 63       // the cluster is referenced once
	compressed     = 1 << 62
	sizeShift      = 62 - (clusterBits - 8)
	headerLength   = 112
)

var be = binary.BigEndian

// WriteQCOW2 writes the raw disk f of size bytes as a QCOW2 image into w,
// which must be new. Clusters are compressed with zlib's algorithm, which every
// version of QEMU reads; those that do not get smaller are stored.
func WriteQCOW2(ctx context.Context, w io.WriterAt, f *os.File, size int64, workers int) error {
	q := &qcow{w: w, end: blockSize, l2: map[int64][]byte{}}
	if err := blocks(ctx, f, size, workers, q.add); err != nil {
		return err
	}
	return q.finish(size)
}

type qcow struct {
	w      io.WriterAt
	end    int64 // of what is written, in bytes
	l2     map[int64][]byte
	counts []uint16 // of references to each cluster
}

// refer counts a reference to the clusters that the bytes lie in.
func (q *qcow) refer(at, length int64) {
	for c := at / blockSize; c <= (at+length-1)/blockSize; c++ {
		for int64(len(q.counts)) <= c {
			q.counts = append(q.counts, 0)
		}
		q.counts[c]++
	}
}

func (q *qcow) add(b *block) error {
	table := q.l2[b.number/l2Entries]
	if table == nil {
		table = make([]byte, blockSize)
		q.l2[b.number/l2Entries] = table
	}
	data, entry := b.deflate, uint64(0)
	if len(data) < blockSize-sectorSize {
		first, last := q.end/sectorSize, (q.end+int64(len(data))-1)/sectorSize
		entry = compressed | uint64(last-first)<<sizeShift | uint64(q.end)
	} else {
		q.align()
		data, entry = b.raw, copied|uint64(q.end)
	}
	be.PutUint64(table[b.number%l2Entries*8:], entry)
	q.refer(q.end, int64(len(data)))
	if _, err := q.w.WriteAt(data, q.end); err != nil {
		return err
	}
	q.end += int64(len(data))
	return nil
}

func (q *qcow) align() { q.end = (q.end + blockSize - 1) / blockSize * blockSize }

// put appends whole clusters and returns where they are.
func (q *qcow) put(b []byte) (int64, error) {
	q.align()
	at := q.end
	q.refer(at, int64(len(b)))
	q.end += int64(len(b))
	_, err := q.w.WriteAt(b, at)
	return at, err
}

func whole(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// finish writes the tables and, last, the header.
func (q *qcow) finish(size int64) error {
	const covers = blockSize * l2Entries
	entries := (size + covers - 1) / covers
	l1 := make([]byte, whole(entries*8))
	var used []int64
	for i := range q.l2 {
		used = append(used, i)
	}
	slices.Sort(used)
	for _, i := range used {
		at, err := q.put(q.l2[i])
		if err != nil {
			return err
		}
		be.PutUint64(l1[i*8:], copied|uint64(at))
	}
	l1At, err := q.put(l1)
	if err != nil {
		return err
	}
	tableAt, tableSize, err := q.writeCounts()
	if err != nil {
		return err
	}
	h := make([]byte, headerLength+8) // the extension that ends the header is eight zeros
	be.PutUint32(h, qcowMagic)
	be.PutUint32(h[4:], qcowVersion)
	be.PutUint32(h[20:], clusterBits)
	be.PutUint64(h[24:], uint64(size))
	be.PutUint32(h[36:], uint32(entries))
	be.PutUint64(h[40:], uint64(l1At))
	be.PutUint64(h[48:], uint64(tableAt))
	be.PutUint32(h[56:], uint32(tableSize/blockSize))
	be.PutUint32(h[96:], 4) // reference counts of 1<<4 bits
	be.PutUint32(h[100:], headerLength)
	_, err = q.w.WriteAt(h, 0)
	return err
}

// writeCounts writes the reference counts, which count themselves too.
func (q *qcow) writeCounts() (at, size int64, err error) {
	q.refer(0, 1) // the header
	q.align()
	first := q.end / blockSize
	count, table := int64(0), int64(0)
	for { // until the blocks hold the counts of all, the blocks included
		total := first + count + table
		c := (total + countsPerBlock - 1) / countsPerBlock
		t := whole(c*8) / blockSize
		if c == count && t == table {
			break
		}
		count, table = c, t
	}
	q.refer(q.end, (count+table)*blockSize)
	body := make([]byte, count*blockSize)
	for i, n := range q.counts {
		be.PutUint16(body[2*i:], n)
	}
	index := make([]byte, table*blockSize)
	for i := range count {
		be.PutUint64(index[i*8:], uint64((first+table+i)*blockSize))
	}
	at = q.end
	if _, err = q.w.WriteAt(append(index, body...), at); err != nil {
		return 0, 0, err
	}
	q.end += int64(len(index) + len(body))
	return at, table * blockSize, nil
}
