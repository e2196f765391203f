package draft

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// What is read of an archive at most; more would not tell more.
const (
	maxFiles = 300_000
	maxRead  = 1 << 20 // bytes of one file
)

// archive is an unpacked archive. Its names are relative, with slashes.
type archive struct {
	root   *os.Root
	files  []string // regular files, sorted
	has    map[string]bool
	newest time.Time // time of the newest file
}

// openArchive lists what lies below dir. Symbolic links are not followed.
func openArchive(dir string) (*archive, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	a := &archive{root: root, has: map[string]bool{}}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if len(a.files) == maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		if info, err := d.Info(); err == nil && info.ModTime().After(a.newest) {
			a.newest = info.ModTime()
		}
		a.files, a.has[name] = append(a.files, name), true
		return nil
	})
	slices.Sort(a.files)
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("look through the archive: %w", err)
	}
	return a, nil
}

// read returns the beginning of a file, "" where there is none.
func (a *archive) read(name string) string { return string(a.head(name, maxRead)) }

func (a *archive) head(name string, limit int64) []byte {
	if !a.has[name] {
		return nil
	}
	f, err := a.root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, limit)) // what could be read is what can be used
	return bytes.ToValidUTF8(data, []byte("?"))
}

// first returns the first of the names that is there.
func (a *archive) first(names ...string) string {
	for _, name := range names {
		if a.has[name] {
			return name
		}
	}
	return ""
}

// named lists the files with one of these base names, those nearest to the top
// first.
func (a *archive) named(names ...string) []string {
	return a.where(func(file string) bool { return slices.Contains(names, path.Base(file)) })
}

// ending lists the files whose name ends in one of these, nearest first.
func (a *archive) ending(suffixes ...string) []string {
	return a.where(func(file string) bool {
		return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(file, s) })
	})
}

func (a *archive) where(fits func(string) bool) []string {
	var list []string
	for _, file := range a.files {
		if fits(file) {
			list = append(list, file)
		}
	}
	slices.SortStableFunc(list, func(x, y string) int { return strings.Count(x, "/") - strings.Count(y, "/") })
	return list
}

// texts joins the contents of files, at most 8 MB of them.
func (a *archive) texts(files []string) string {
	var all strings.Builder
	for _, file := range files {
		if all.Len() > 8<<20 {
			break
		}
		all.WriteString(a.read(file))
		all.WriteByte('\n')
	}
	return all.String()
}

// Newest is the time of the newest file below dir, at most now; the zero time
// where there is none.
func Newest(dir string) (time.Time, error) {
	a, err := openArchive(dir)
	if err != nil {
		return time.Time{}, err
	}
	defer a.root.Close()
	if now := time.Now(); a.newest.After(now) {
		return now, nil
	}
	return a.newest, nil
}
