package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// blockSize is the unit of both formats: a cluster of QCOW2, a grain of VMDK.
const blockSize = 64 << 10

const compressionLevel = 6

var zeros [blockSize]byte

func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }

// block is one block of a disk that is not all zeros.
type block struct {
	number  int64
	raw     []byte // the content; the last block of a disk is filled up with zeros
	deflate []byte // the same as a raw DEFLATE stream
	err     error
}

// blocks calls each for every block of f that has content, in order, and
// compresses them with as many goroutines as workers.
func blocks(ctx context.Context, f *os.File, size int64, workers int, each func(*block) error) error {
	group, ctx := errgroup.WithContext(ctx)
	type job struct {
		*block
		done chan struct{}
	}
	todo, inOrder := make(chan job), make(chan job, 4*max(workers, 1))
	group.Go(func() error {
		defer close(todo)
		defer close(inOrder)
		return readBlocks(f, size, func(b *block) error {
			j := job{b, make(chan struct{})}
			for _, c := range []chan job{inOrder, todo} {
				select {
				case c <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range max(workers, 1) {
		group.Go(func() error {
			z, err := flate.NewWriter(nil, compressionLevel)
			if err != nil {
				return err
			}
			for j := range todo {
				var out bytes.Buffer
				z.Reset(&out)
				_, err := z.Write(j.raw)
				j.err = errors.Join(err, z.Close())
				j.deflate = out.Bytes()
				close(j.done)
			}
			return nil
		})
	}
	group.Go(func() error {
		for j := range inOrder {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if j.err != nil {
				return j.err
			}
			if err := each(j.block); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// readBlocks calls each for the blocks with content. Holes of the file are not
// even read, where the file system can tell them.
func readBlocks(f *os.File, size int64, each func(*block) error) error {
	for at := int64(0); at < size; {
		if next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA); err == nil {
			at = next / blockSize * blockSize
		} else if errors.Is(err, unix.ENXIO) {
			return nil // nothing but holes to the end
		}
		b := &block{number: at / blockSize, raw: make([]byte, blockSize)}
		if n := min(blockSize, size-at); n > 0 {
			if _, err := f.ReadAt(b.raw[:n], at); err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the disk: %w", err)
			}
		}
		at += blockSize
		if isZero(b.raw) {
			continue
		}
		if err := each(b); err != nil {
			return err
		}
	}
	return nil
}
