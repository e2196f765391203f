package build

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxKmod bounds what is read of one kernel module, in bytes.
const maxKmod = 256 << 20

// kmodDepends returns the modules that a kernel module names as its needs in
// the section .modinfo. packed is the ending of a compressed file.
func kmodDepends(root *os.Root, name, packed string) (depends []string, err error) {
	defer func() {
		if p := recover(); p != nil { // see readELF
			err = fmt.Errorf("damaged kernel module: %v", p)
		}
	}()
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var content io.ReaderAt = file
	if packed != "" {
		data, err := unpackKmod(file, packed)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		content = bytes.NewReader(data)
	}
	f, err := elf.NewFile(content)
	if err != nil {
		return nil, fmt.Errorf("no kernel module: %w", err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, nil
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for _, field := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			depends = append(depends, strings.Split(list, ",")...)
		}
	}
	return depends, nil
}

func unpackKmod(file io.Reader, packed string) ([]byte, error) {
	var r io.Reader
	var err error
	switch packed {
	case ".gz":
		r, err = gzip.NewReader(file)
	case ".xz":
		r, err = xz.NewReader(file)
	default:
		var d *zstd.Decoder
		if d, err = zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxKmod)); err == nil {
			defer d.Close()
			r = d
		}
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxKmod+1))
	if err == nil && len(data) > maxKmod {
		err = fmt.Errorf("more than %d bytes", maxKmod)
	}
	return data, err
}
