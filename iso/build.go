package iso

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"ashlar/iso/squashfs"
	"ashlar/iso/tree"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"
)

// Request says what to build.
type Request struct {
	Image    *Image
	Format   string             // one of [Formats]; "" is iso
	Packages []*pkgfile.Package // of the system, complete and without conflicts
	Tools    []*pkgfile.Package // the boot loader and live-init
	Files    []tree.Entry       // to add, for example a trust root
	Medium   string             // folder of a repository to put on a medium; "" is none
	Output   string             // path of the image; the manifest is beside it
	Cache    string             // folder; "" remembers nothing
	Workers  int                // compressing goroutines; 0 is one per core
	Progress func(step string)  // called when a step begins; may be nil
	// SecureBoot signs what starts an ISO; nil starts only where nobody checks.
	SecureBoot *SecureBoot
}

// collectAt is by how many percent the heap may grow before garbage is collected.
const collectAt = 40

// Result is a finished image.
type Result struct {
	Format   string `json:"format"`
	Path     string `json:"path"`
	Manifest string `json:"manifest"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	Cached   bool   `json:"cached"` // it was there already
}

// Build makes the image. Output and manifest are replaced atomically; when it
// fails, what was there before is still there.
func Build(ctx context.Context, r Request) (*Result, error) {
	if r.Progress == nil {
		r.Progress = func(string) {}
	}
	if r.Workers == 0 {
		r.Workers = runtime.NumCPU()
	}
	if r.Format == "" {
		r.Format = "iso"
	}
	a, err := newAssembly(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", r.Image.Name, err)
	}
	res := &Result{Format: r.Format, Path: r.Output, Manifest: manifestPath(r.Output)}
	if sha, ok := a.cache.upToDate(r.Output, a.imageKey); ok {
		if st, err := os.Stat(r.Output); err == nil {
			if _, err := os.Stat(res.Manifest); err == nil {
				res.Size, res.SHA256, res.Cached = st.Size(), sha, true
				return res, nil
			}
		}
	}
	// Little is alive at a time, but for the tables of the encoders; that the heap grows
	// to double of it would cost more memory than it saves time.
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	if err := a.run(res); err != nil {
		return nil, fmt.Errorf("image %s: %w", r.Image.Name, err)
	}
	return res, a.cache.remember(r.Output, a.imageKey, res.SHA256)
}

// manifestPath is where the manifest of an image lies: beside it.
func manifestPath(output string) string {
	if ext := filepath.Ext(output); ext == ".iso" {
		output = output[:len(output)-len(ext)]
	}
	return output + ".json"
}

// assembly is one build under way.
type assembly struct {
	Request
	ctx       context.Context
	cache     cache
	format    Format
	additions []tree.Entry
	kernel    *kernel // nil without one
	medium    []tree.Entry
	epoch     int64
	rootKey   string
	imageKey  string
	manifest  *Manifest
	record    []byte // the manifest as it lies in the image
}

func newAssembly(ctx context.Context, r Request) (*assembly, error) {
	a := &assembly{Request: r, ctx: ctx, cache: cache{r.Cache}}
	var err error
	if a.format, err = FormatOf(r.Format); err != nil {
		return nil, err
	}
	if r.Image.Kernel != NoKernel {
		p, err := byName(r.Packages, r.Image.Kernel)
		if err != nil {
			return nil, err
		}
		if a.kernel, err = findKernel(p); err != nil {
			return nil, err
		}
	} else if a.format.boots {
		return nil, fmt.Errorf("format %s needs a kernel; without one only tar and oci can be made", r.Format)
	}
	for _, p := range r.Packages {
		a.epoch = max(a.epoch, p.Manifest().Provenance.Epoch)
	}
	if a.additions, err = r.Image.additions(); err != nil {
		return nil, err
	}
	a.additions = append(a.additions, r.Files...)
	if r.Medium != "" && a.format.Medium {
		if a.medium, err = mediumRepository(r.Medium); err != nil {
			return nil, err
		}
		definition, err := mediumDefinition()
		if err != nil {
			return nil, err
		}
		a.additions = append(a.additions, definition)
	}
	for _, list := range [][]tree.Entry{a.additions, a.medium} {
		for i := range list {
			list[i].ModTime = a.epoch
		}
	}
	if a.manifest, err = a.makeManifest(); err != nil {
		return nil, err
	}
	if a.record, err = a.manifest.JSON(); err != nil {
		return nil, err
	}
	return a, a.makeKeys()
}

func (a *assembly) makeKeys() error {
	files, err := entryInputs(a.additions)
	if err != nil {
		return err
	}
	a.rootKey, err = key(map[string]any{"packages": packageInputs(a.Packages), "files": files, "definition": a.Image.ofRoot()})
	if err != nil {
		return err
	}
	medium, err := mediumInputs(a.medium)
	if err != nil {
		return err
	}
	a.imageKey, err = key(map[string]any{"root": a.rootKey, "medium": medium, "tools": packageInputs(a.Tools), "definition": a.Image,
		"format": a.Format, "file": filepath.Base(a.Output), "owner": a.SecureBoot.inputs()})
	return err
}

// ofRoot is what of a definition the root file system of a live system depends
// on, beside its packages and files.
func (m *Image) ofRoot() any {
	asked, _ := m.Dependencies() // checked when it was read
	names := []string{}
	for _, d := range asked {
		names = append(names, d.Name)
	}
	return []any{m.Name, names, m.Compression, m.Users, m.Branding, m.Repositories}
}

func (a *assembly) run(res *Result) error {
	if err := os.MkdirAll(filepath.Dir(a.Output), 0o755); err != nil {
		return err
	}
	err := durable.Fill(a.Output, 0o644, func(f *os.File) error {
		o := &output{f: f}
		if err := a.format.write(a, o); err != nil {
			return err
		}
		var err error
		res.Size, res.SHA256, err = o.identity()
		return err
	})
	if err != nil {
		return err
	}
	manifest := *a.manifest
	manifest.Format = a.Format
	manifest.Image = &ManifestImage{filepath.Base(a.Output), res.Size, res.SHA256}
	text, err := manifest.JSON()
	if err != nil {
		return err
	}
	return durable.WriteFile(res.Manifest, text, 0o644)
}

// output is the file that a format writes: from front to back through Write,
// which computes its hash on the way, or by f alone.
type output struct {
	f   *os.File
	n   int64
	sum hash.Hash
}

func (o *output) Write(b []byte) (int, error) {
	if o.sum == nil {
		o.sum = sha256.New()
	}
	n, err := o.f.Write(b)
	o.n += int64(n)
	o.sum.Write(b[:n])
	return n, err
}

func (o *output) identity() (size int64, sha string, err error) {
	if o.sum == nil {
		o.sum = sha256.New()
		if _, err := o.f.Seek(0, io.SeekStart); err != nil {
			return 0, "", err
		}
		if o.n, err = io.Copy(o.sum, o.f); err != nil {
			return 0, "", fmt.Errorf("read what was written: %w", err)
		}
	}
	return o.n, hex.EncodeToString(o.sum.Sum(nil)), nil
}

// entries returns all files of the system.
func (a *assembly) entries() ([]tree.Entry, error) {
	entries, err := rootTree(a.Image, a.Packages)
	if err != nil {
		return nil, err
	}
	settings, err := a.Image.settings(entries, a.epoch)
	if err != nil {
		return nil, err
	}
	if entries, err = overlay(entries, settings); err != nil {
		return nil, err
	}
	return overlay(entries, a.additions)
}

// rootBlock is the size of the root's blocks, in bytes: 3 % smaller than with the
// usual 128 KiB, and a machine starts as fast.
const rootBlock = 512 << 10

// squashfs returns the root image of a live system, from the cache if it is
// there. The caller closes it.
func (a *assembly) squashfs() (*os.File, error) {
	return a.cache.root(a.rootKey, func(f *os.File) error {
		a.Progress("compress the root file system")
		entries, err := a.entries()
		if err != nil {
			return err
		}
		_, err = squashfs.Write(a.ctx, f, entries, squashfs.Options{
			BlockSize: rootBlock, Level: squashfs.Level(a.Image.Compression), Workers: a.Workers, Time: uint32(a.epoch)})
		return err
	})
}

// temporary returns a file beside the output that has no name any more. The
// caller closes it.
func (a *assembly) temporary() (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(a.Output), ".image.*.tmp")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// vmlinuz and ram are what a boot loader loads.
func (a *assembly) bootFiles() (vmlinuz, ram []byte, err error) {
	if vmlinuz, err = a.kernel.image(); err != nil {
		return nil, nil, err
	}
	starter, err := byName(a.Tools, a.Image.LiveInit)
	if err != nil {
		return nil, nil, err
	}
	init, err := read(starter, liveInitPath, maxBootFile)
	if err != nil {
		return nil, nil, err
	}
	ram, err = initrd(a.ctx, init, a.kernel, a.Image.Modules, initrdLevels[a.Image.Compression], a.epoch)
	return vmlinuz, ram, err
}

// file is a small file of an image.
func (a *assembly) file(path string, perm uint32, content []byte) tree.Entry {
	return tree.Entry{Path: path, Perm: perm, ModTime: a.epoch, Size: int64(len(content)), Open: tree.Bytes(content)}
}
