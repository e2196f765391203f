package iso

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	"ashlar/pkgtool/pkgfile"
)

// Where packages keep what an image starts with.
const (
	bootDir      = "usr/lib/ashlar/boot/"
	liveInitPath = "usr/lib/ashlar/live-init"
	modulesDir   = "usr/lib/modules/"
)

// Limits of what is held in memory. A kernel has 15 MB, an EFI GRUB 1 MB.
const (
	maxBootFile = 64 << 20
)

// byName finds an opened package.
func byName(packages []*pkgfile.Package, name string) (*pkgfile.Package, error) {
	for _, p := range packages {
		if p.Manifest().Name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("package %s is not among those of the image", name)
}

// read returns the verified content of one file of a package.
func read(p *pkgfile.Package, path string, limit int64) ([]byte, error) {
	name := p.Manifest().FileName()
	f := p.Manifest().File(path)
	if f == nil {
		return nil, fmt.Errorf("package %s has no file %s", name, path)
	}
	if f.Size > limit {
		return nil, fmt.Errorf("package %s: %s has %d bytes; it may have %d", name, path, f.Size, limit)
	}
	r, err := p.OpenFrameFile(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// kernel is the kernel package and the folder of its one kernel.
type kernel struct {
	p   *pkgfile.Package
	dir string // usr/lib/modules/RELEASE/
}

func findKernel(p *pkgfile.Package) (*kernel, error) {
	k := &kernel{p: p}
	for _, f := range p.Manifest().Files {
		release, ok := strings.CutPrefix(f.Path, modulesDir)
		release, is := strings.CutSuffix(release, "/vmlinuz")
		if !ok || !is || strings.Contains(release, "/") {
			continue
		}
		if k.dir != "" {
			return nil, fmt.Errorf("package %s has more than one kernel", p.Manifest().FileName())
		}
		k.dir = modulesDir + release + "/"
	}
	if k.dir == "" {
		return nil, fmt.Errorf("package %s has no kernel %s*/vmlinuz", p.Manifest().FileName(), modulesDir)
	}
	return k, nil
}

func (k *kernel) release() string { return path.Base(k.dir) }

func (k *kernel) image() ([]byte, error) { return read(k.p, k.dir+"vmlinuz", maxBootFile) }

// read returns a file of the kernel's folder, or fs.ErrNotExist.
func (k *kernel) read(name string) ([]byte, error) {
	if k.p.Manifest().File(k.dir+name) != nil {
		return read(k.p, k.dir+name, maxBootFile)
	}
	return nil, fmt.Errorf("%s%s: %w", k.dir, name, fs.ErrNotExist)
}

// sortedPackages returns packages in the order of their file names.
func sortedPackages(packages []*pkgfile.Package) []*pkgfile.Package {
	sorted := append([]*pkgfile.Package(nil), packages...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Manifest().FileName() < sorted[j].Manifest().FileName() })
	return sorted
}
