package source

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"sort"

	"golang.org/x/mod/sumdb/dirhash"
)

// maxModMod bounds a go.mod file, in bytes, as the go command does.
const maxModMod = 16 << 20

// maxModule bounds a module zip that is not pinned yet, in bytes, as the go
// command does.
const maxModule = 500 << 20

// verifyModule checks a module's zip, or its go.mod file, against its h1 sum.
func verifyModule(s Source, file io.ReaderAt, size int64) error {
	m, err := parseGoModule(s.URIs[0])
	if err != nil {
		return err
	}
	var got string
	if m.modOnly {
		if size > maxModMod {
			return &WrongSumError{fmt.Sprintf("a go.mod file of %d bytes", size), s.H1}
		}
		got, err = dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(file, 0, size)), nil
		})
	} else {
		got, err = zipH1(file, size)
	}
	if err != nil {
		return &WrongSumError{fmt.Sprintf("no module zip (%v)", err), s.H1}
	}
	if got != s.H1 {
		return &WrongSumError{got, s.H1}
	}
	return nil
}

// zipH1 is dirhash.HashZip for an open file.
func zipH1(file io.ReaderAt, size int64) (string, error) {
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return "", err
	}
	members := map[string]*zip.File{}
	var names []string
	for _, member := range archive.File {
		if members[member.Name] != nil {
			return "", fmt.Errorf("member %.100q twice", member.Name)
		}
		members[member.Name] = member
		names = append(names, member.Name)
	}
	sort.Strings(names)
	return dirhash.Hash1(names, func(name string) (io.ReadCloser, error) { return members[name].Open() })
}

// ModuleSum fetches module@version from the module proxy in force and returns
// the h1 sum of what came. It proves nothing by itself: it is for pinning.
func ModuleSum(ctx context.Context, fetcher *Fetcher, moduleVersion string) (string, error) {
	data, err := fetcher.unpinned(ctx, "gomod://"+moduleVersion, maxModule)
	if err != nil {
		return "", err
	}
	return zipH1(bytes.NewReader(data), int64(len(data)))
}
