package iso

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"syscall"
	"time"

	"ashlar/iso/tree"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"
)

// keptRoots is how many root images the cache keeps.
const keptRoots = 4

// key hashes everything that decides an output: this program itself, so that a
// change of the code makes a new image without anyone raising a number, and
// inputs.
func key(inputs any) (string, error) {
	self, err := programDigest()
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]any{"program": self, "inputs": inputs})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

var programDigest = sync.OnceValues(func() (string, error) {
	return fileDigest("/proc/self/exe")
})

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// packageInputs is what a package contributes to a key.
func packageInputs(packages []*pkgfile.Package) []string {
	var list []string
	for _, p := range sortedPackages(packages) {
		list = append(list, p.ManifestSHA256())
	}
	return list
}

// entryInputs hashes additional files with their content, which is small.
func entryInputs(entries []tree.Entry) ([]string, error) {
	var list []string
	for _, e := range entries {
		line := fmt.Sprintf("%s %d %o %d %d %s", e.Path, e.Kind, e.Perm, e.UID, e.GID, e.Target)
		if e.Kind == tree.File {
			r, err := e.Open()
			if err != nil {
				return nil, err
			}
			h := sha256.New()
			_, err = io.Copy(h, r)
			r.Close()
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", e.Path, err)
			}
			line += fmt.Sprintf(" %x", h.Sum(nil))
		}
		list = append(list, line)
	}
	sort.Strings(list)
	return list, nil
}

// stamp remembers a finished output: by which key it was made, and by what the
// file system says about it that it is still the same file.
type stamp struct {
	Key      string `json:"key"`
	Size     int64  `json:"size"`
	Inode    uint64 `json:"inode"`
	Modified int64  `json:"modified"` // nanoseconds
	Changed  int64  `json:"changed"`
	SHA256   string `json:"sha256"`
}

func stampOf(path string) (stamp, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return stamp{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return stamp{}, fmt.Errorf("%s is not a file", path)
	}
	return stamp{Size: st.Size, Inode: st.Ino, Modified: st.Mtim.Nano(), Changed: st.Ctim.Nano()}, nil
}

// cache is a folder of root images and of stamps of finished images. With an
// empty path nothing is remembered.
type cache struct{ dir string }

func (c cache) stampFile(output string) (string, error) {
	abs, err := filepath.Abs(output)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(c.dir, "images", hex.EncodeToString(sum[:])+".json"), nil
}

// upToDate returns the hash of an output that key made and nobody has touched.
func (c cache) upToDate(output, key string) (sha string, ok bool) {
	if c.dir == "" {
		return "", false
	}
	file, err := c.stampFile(output)
	if err != nil {
		return "", false
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	var saved stamp
	if json.Unmarshal(b, &saved) != nil || saved.Key != key {
		return "", false
	}
	now, err := stampOf(output)
	if err != nil {
		return "", false
	}
	now.Key, now.SHA256 = saved.Key, saved.SHA256
	return saved.SHA256, now == saved
}

func (c cache) remember(output, key, sha string) error {
	if c.dir == "" {
		return nil
	}
	s, err := stampOf(output)
	if err != nil {
		return err
	}
	s.Key, s.SHA256 = key, sha
	file, err := c.stampFile(output)
	if err != nil {
		return err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(file, append(b, '\n'), 0o644)
}

// root returns the root image with this key, made by fill if it is not there,
// and opens it. Without a cache it is a temporary file that has no name any
// more.
func (c cache) root(key string, fill func(*os.File) error) (*os.File, error) {
	dir := filepath.Join(c.dir, "roots")
	if c.dir == "" {
		dir = ""
	} else {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, key+".squashfs")
		if f, err := os.Open(path); err == nil {
			now := time.Now()
			os.Chtimes(path, now, now) // best effort: only decides what is thrown away first
			return f, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	f, err := os.CreateTemp(dir, "root.*.tmp")
	if err != nil {
		return nil, err
	}
	err = fill(f)
	if err == nil && dir != "" {
		if err = f.Sync(); err == nil {
			err = os.Rename(f.Name(), filepath.Join(dir, key+".squashfs"))
		}
	}
	if err != nil || dir == "" {
		os.Remove(f.Name())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if dir != "" {
		prune(dir)
	}
	return f, nil
}

// prune removes all but the newest root images, and what a killed run left.
func prune(dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	type aged struct {
		path string
		when time.Time
	}
	var roots []aged
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			continue
		}
		p := filepath.Join(dir, f.Name())
		if filepath.Ext(p) == ".tmp" && time.Since(info.ModTime()) > 24*time.Hour {
			os.Remove(p)
		}
		if filepath.Ext(p) == ".squashfs" {
			roots = append(roots, aged{p, info.ModTime()})
		}
	}
	sort.Slice(roots, func(i, j int) bool { return roots[i].when.After(roots[j].when) })
	for _, r := range roots[min(len(roots), keptRoots):] {
		os.Remove(r.path)
	}
}
