package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// wanted is an object to make from a package.
type wanted struct {
	entry  entry
	object *store.Object // nil while its owner has no number
}

// planContent finds out which objects are missing in the store, for the files
// that come, and for those that go, so that one can return to them.
func (p *Plan) planContent(ctx context.Context) error {
	folder, err := p.system.disk.lstat(stateDir + "/store")
	if err != nil {
		return err
	}
	there := map[store.Key]entry{} // what can be taken from the disk
	if err := p.planAdoption(ctx, there); err != nil {
		return err
	}
	seen := map[store.Key]bool{}
	for path, e := range p.live.come {
		if e.file.Type != pkgfile.TypeFile || e.file.Size == 0 || p.live.same(path) && !p.restore[path] {
			continue
		}
		if !p.owners.knows(e.file) {
			p.wanted = append(p.wanted, wanted{e, nil})
			continue
		}
		o, err := p.owners.object(e)
		if err != nil {
			return err
		}
		key := o.Key()
		if seen[key] {
			continue
		}
		seen[key] = true
		if _, adoptable := there[key]; adoptable {
			continue
		}
		has := false
		if folder != nil { // else nothing was ever stored
			has, err = p.system.has(o)
		}
		if p.restore[path] && has {
			has, err = p.system.proved(ctx, o)
		}
		if err != nil {
			return err
		}
		if has {
			continue
		}
		if e.member.content == nil {
			if err := p.lost(e); err != nil {
				return err
			}
			continue
		}
		p.wanted = append(p.wanted, wanted{e, o})
	}
	slices.SortFunc(p.wanted, func(a, b wanted) int {
		if a.entry.member != b.entry.member {
			return a.entry.member.number - b.entry.member.number
		}
		return strings.Compare(a.entry.file.Path, b.entry.file.Path)
	})
	return nil
}

func (p *Plan) lost(e entry) error {
	name := e.member.manifest.Name
	if name == "" {
		return nil // made by a trigger, which runs again
	}
	return fmt.Errorf("%s of %s is not in the store any more; install %s from a repository instead", e.file.Path, name, name)
}

// planAdoption finds the going files that the store lacks.
func (p *Plan) planAdoption(ctx context.Context, there map[store.Key]entry) error {
	for path, e := range p.live.gone {
		if e.file.Type != pkgfile.TypeFile || e.file.Size == 0 || p.live.same(path) && !p.restore[path] || !p.owners.knows(e.file) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		o, err := p.owners.object(e)
		if err != nil {
			return err
		}
		has, err := p.system.has(o)
		if err != nil {
			return err
		}
		if has && (!p.direct(path) || isConfig(e.file)) {
			continue
		}
		st, err := p.system.disk.lstat(path)
		if err != nil || st == nil {
			continue
		}
		same, err := p.unchanged(e, path, st)
		if err != nil {
			return err
		}
		switch {
		case same && !has:
			p.adopted = append(p.adopted, e)
			there[o.Key()] = e
		case !same && !isConfig(e.file) && p.direct(path) && !isFolder(st):
			p.save(path, path)
		}
	}
	slices.SortFunc(p.adopted, func(a, b entry) int { return strings.Compare(a.file.Path, b.file.Path) })
	return nil
}

// Needs returns the files whose content must be readable before Commit is
// called. Everything else is in the store or on disk already.
func (p *Plan) Needs() []pkgfile.Wanted {
	byPackage := map[*pkgfile.Package]int{}
	var needs []pkgfile.Wanted
	need := func(pkg *pkgfile.Package, f *pkgfile.File) {
		i, known := byPackage[pkg]
		if !known {
			i = len(needs)
			byPackage[pkg] = i
			needs = append(needs, pkgfile.Wanted{Package: pkg})
		}
		if !slices.Contains(needs[i].Files[max(0, len(needs[i].Files)-1):], f) {
			needs[i].Files = append(needs[i].Files, f)
		}
	}
	for _, w := range p.wanted {
		need(w.entry.member.content, w.entry.file)
	}
	if p.unsettled {
		p.needAccounts(need)
	}
	return needs
}

// needAccounts names the files that tell of users and groups.
func (p *Plan) needAccounts(need func(*pkgfile.Package, *pkgfile.File)) {
	names := append(p.sysusersFiles(), passwdPath, groupPath, shadowPath, gshadowPath)
	for _, name := range names {
		e, comes := p.live.come[name]
		if !comes || e.member.content == nil || e.file.Type != pkgfile.TypeFile || e.file.Size == 0 {
			continue
		}
		listed := slices.ContainsFunc(p.wanted, func(w wanted) bool { return w.entry.file == e.file })
		if !listed {
			need(e.member.content, e.file)
		}
	}
}

// fill makes the missing objects.
func (p *Plan) fill(ctx context.Context, progress func(done, total int64)) error {
	if err := errors.Join(p.adoptAll(ctx), p.dropDamaged()); err != nil {
		return err
	}
	objects := map[*pkgfile.File]*store.Object{}
	byPackage := map[*pkgfile.Package]int{}
	var work []pkgfile.Wanted
	var total int64
	for _, w := range p.wanted {
		o := w.object
		if o == nil {
			var err error
			if o, err = p.owners.object(w.entry); err != nil {
				return err
			}
		}
		objects[w.entry.file] = o
		pkg := w.entry.member.content
		i, known := byPackage[pkg]
		if !known {
			i = len(work)
			byPackage[pkg] = i
			work = append(work, pkgfile.Wanted{Package: pkg})
		}
		work[i].Files = append(work[i].Files, w.entry.file)
		total += o.Size
	}
	var done atomic.Int64
	s := p.system.store
	return pkgfile.Unpack(ctx, runtime.GOMAXPROCS(0), work, func(_ *pkgfile.Package, f *pkgfile.File, data []byte, stream io.Reader) error {
		o := objects[f]
		var err error
		switch {
		case p.target.again != nil:
			err = p.refill(ctx, o, data, stream)
		case stream != nil:
			err = s.PutFrom(o, o.Time, stream)
		default:
			err = s.Put(o, o.Time, data)
		}
		if err == nil && progress != nil {
			progress(done.Add(f.Size), total)
		}
		return err
	})
}

// adoptAll puts into the store what only the disk has.
func (p *Plan) adoptAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		d := p.system.disk.clone()
		group.Go(func() error {
			defer d.forget("")
			for i := w; i < len(p.adopted); i += workers {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := p.adopt(d, p.adopted[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// adopt makes an object of a file on disk: one of the tree by linking it, others,
// which may be changed in place, by copying. A file that somebody changed
// meanwhile is left out: nobody could return to it anyway.
func (p *Plan) adopt(d *disk, e entry) error {
	o, err := p.owners.object(e)
	if err != nil {
		return err
	}
	err = store.ErrDiffers
	if inTree(e.file.Path) {
		err = d.at("adopt", e.file.Path, func(fd int, base string) error { return p.system.store.Adopt(o, fd, base) })
	}
	if errors.Is(err, store.ErrDiffers) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EMLINK) {
		err = p.copyIn(d, e.file.Path, o)
	}
	if errors.Is(err, store.ErrDiffers) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func (p *Plan) copyIn(d *disk, path string, o *store.Object) error {
	f, err := d.open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := p.system.store.Create(o, o.Time)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, w.Close())
}
