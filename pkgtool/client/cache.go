package client

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/transport"
	"ashlar/repo/trust"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// The kinds of what is in the cache.
const (
	CachedPackage   = "package"   // complete or in part
	CachedIndex     = "index"     // or another signed object of a repository
	CachedCatalogue = "catalogue" // made of indexes
	CachedRest      = "rest"      // what an interrupted program left
)

// Cached is a file of the cache. All of them can be removed at any time: what is
// missing is fetched or made again.
type Cached struct {
	Path    string    `json:"path"`
	Kind    string    `json:"kind"`
	Package string    `json:"package,omitempty"` // name-version-release.arch, where the file tells
	Size    int64     `json:"size"`              // bytes on disk; holes take none
	Used    time.Time `json:"used"`              // last
	Needed  bool      `json:"needed"`            // by a repository as it was refreshed last
}

// Cached lists the cache of the system, what was used least recently first.
// Temporary files of the last hour, which a program may be writing, are left out.
func (d Dirs) Cached() ([]Cached, error) {
	needed := d.needed()
	var all []Cached
	for folder, kind := range map[string]string{"packages": CachedPackage, "objects": CachedIndex, "catalogues": CachedCatalogue} {
		files, err := os.ReadDir(filepath.Join(d.Cache, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue // gone since, or nothing of ours
			}
			c := Cached{Path: filepath.Join(d.Cache, folder, f.Name()), Kind: kind, Size: info.Size(), Used: info.ModTime(), Needed: needed[f.Name()]}
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				c.Size = stat.Blocks * 512
			}
			switch {
			case strings.HasSuffix(f.Name(), ".part") || strings.HasSuffix(f.Name(), ".tmp"):
				if c.Kind = CachedRest; time.Since(c.Used) < time.Hour {
					continue
				}
			case kind == CachedPackage:
				c.Package = packageIn(c.Path)
			}
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Cached) int { return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(a.Path, b.Path)) })
	return all, nil
}

// packageIn returns the name of the package in a file, if enough of it is there.
func packageIn(path string) string {
	p, err := pkgfile.OpenFile(path)
	if err != nil {
		return ""
	}
	defer p.Close()
	return strings.TrimSuffix(p.Manifest().FileName(), pkgfile.MediaSuffix)
}

// needed names the objects that the states refer to which were seen last, and
// the repositories that have one.
func (d Dirs) needed() map[string]bool {
	needed := map[string]bool{}
	names, _ := os.ReadDir(d.State)
	for _, name := range names {
		data, err := transport.ReadSmall(filepath.Join(d.State, name.Name(), "trusted.json"), maxStored)
		var s trust.State
		if err != nil || json.Unmarshal(data, &s) != nil {
			continue
		}
		targets, err := metadata.Targets().FromBytes(s.Targets)
		if err != nil {
			continue
		}
		needed[name.Name()] = true
		for _, t := range targets.Signed.Targets {
			needed[hex.EncodeToString(t.Hashes["sha256"])] = true
		}
	}
	return needed
}

// CachePolicy says what CleanCache removes. What is left of interrupted programs,
// and indexes and catalogues that no repository needs, are always removed.
type CachePolicy struct {
	Age    time.Duration // packages that were not used for longer; 0 means none
	Bytes  int64         // packages used least recently, until the rest has no more; negative means none
	DryRun bool          // only say what would be removed
}

// CleanCache removes files of the cache by a policy and returns them, also if
// there is an error.
func (d Dirs) CleanCache(ctx context.Context, policy CachePolicy) ([]Cached, error) {
	all, err := d.Cached()
	if err != nil {
		return nil, err
	}
	var packages int64
	for _, c := range all {
		if c.Kind == CachedPackage {
			packages += c.Size
		}
	}
	var removed []Cached
	var failures []error
	for _, c := range all {
		if ctx.Err() != nil {
			return removed, errors.Join(append(failures, context.Cause(ctx))...)
		}
		remove := c.Kind == CachedRest || c.Kind != CachedPackage && !c.Needed
		if c.Kind == CachedPackage {
			remove = policy.Age > 0 && time.Since(c.Used) > policy.Age || policy.Bytes >= 0 && packages > policy.Bytes
		}
		if !remove {
			continue
		}
		if !policy.DryRun {
			if err := os.Remove(c.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failures = append(failures, err)
				continue
			}
		}
		if c.Kind == CachedPackage {
			packages -= c.Size
		}
		removed = append(removed, c)
	}
	return removed, errors.Join(failures...)
}
