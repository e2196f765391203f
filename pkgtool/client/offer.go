package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"

	"ashlar/pkgtool/client/catalogue"
	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"

	"golang.org/x/sys/unix"
)

// offer is what a repository offers, in one verified state of it: a catalogue,
// and the indexes to make it of.
type offer struct {
	repository *repository
	indexes    []indexOf
	old        []indexOf // of superseded packages; the cache may not have them
	advisories *object   // nil if it has none

	mu        sync.Mutex
	catalogue *catalogue.Catalogue
	failure   error // the first one that making it anew did not help
}

// object is a target of verified metadata, which the cache has.
type object struct {
	sum    string
	length int64
}

// indexOf is the index of an arch.
type indexOf struct {
	arch string
	object
}

// offerOf opens the catalogue of a verified state. If the cache has none that is
// good, it makes one of the indexes, which come from the cache or from m.
func (r *repository) offerOf(ctx context.Context, w *trust.Walk, m transport.Source) (*offer, error) {
	o := &offer{repository: r}
	for _, arch := range []string{r.client.opts.Arch, "noarch"} {
		name := repo.IndexTarget(r.config.Channel, arch)
		if w.Targets().Targets[name] == nil {
			continue
		}
		_, length, sum, err := w.Target(name)
		if err != nil {
			return nil, err
		}
		o.indexes = append(o.indexes, indexOf{arch, object{sum, length}})
	}
	if len(o.indexes) == 0 {
		return nil, fault.Mark(tuf.Refuse(tuf.Lying, "it has no packages in channel %s for %s", r.config.Channel, r.client.opts.Arch), fault.Usage,
			"check the channel in the repository's definition")
	}
	var err error
	if o.old, err = r.oldOf(w); err != nil {
		return nil, err
	}
	if o.catalogue, err = o.open(identity(o.indexes)); err == nil {
		return o, nil
	}
	contents := make([][]byte, len(o.indexes))
	for i, is := range o.indexes {
		if contents[i], err = r.object(ctx, w, m, repo.IndexTarget(r.config.Channel, is.arch), maxIndex); err != nil {
			return nil, err
		}
	}
	if o.catalogue, err = o.update(contents); err == nil {
		return o, nil
	}
	o.catalogue, err = o.build(contents)
	return o, err
}

// identity stands for the indexes that a catalogue is made of.
func identity(indexes []indexOf) (of [32]byte) {
	sum := sha256.New()
	for _, i := range indexes {
		fmt.Fprintf(sum, "%s %s\n", i.arch, i.sum)
	}
	sum.Sum(of[:0])
	return of
}

func (o *offer) path() string {
	return filepath.Join(o.repository.client.dirs.Cache, "catalogues", o.repository.config.Name)
}

// open maps the file, if it is of these indexes. The mapping lives as long as the
// catalogue.
func (o *offer) open(of [32]byte) (*catalogue.Catalogue, error) {
	file, err := transport.OpenRegular(o.path())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 || info.Size() > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %s has %d bytes", catalogue.ErrDamaged, o.path(), info.Size())
	}
	data, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	var opened *catalogue.Catalogue
	err = readable(func() (err error) { opened, err = catalogue.Open(data, of); return err })
	if err != nil {
		unix.Munmap(data)
		return nil, err
	}
	runtime.AddCleanup(opened, func(data []byte) { unix.Munmap(data) }, data)
	return opened, nil
}

// readable runs what reads a mapped file, and makes an error of the signal that
// comes if the file is cut off meanwhile, or the disk fails.
func readable(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			signal, ok := cause.(interface {
				error
				Addr() uintptr
			})
			if !ok {
				panic(cause)
			}
			err = fmt.Errorf("%w: it cannot be read: %w", catalogue.ErrDamaged, signal)
		}
	}()
	return read()
}

// build makes the catalogue of the contents of indexes.
func (o *offer) build(contents [][]byte) (*catalogue.Catalogue, error) {
	var entries []index.Entry
	for i, is := range o.indexes {
		some, err := o.repository.readIndex(contents[i], is.arch)
		if err != nil {
			return nil, err
		}
		entries = append(entries, some...)
	}
	data, err := catalogue.Encode(identity(o.indexes), entries)
	if err != nil {
		return nil, err
	}
	return o.keep(data)
}

// keep opens a catalogue that was made, in the cache if that can be written to.
func (o *offer) keep(data []byte) (*catalogue.Catalogue, error) {
	if o.write(data) == nil {
		if opened, err := o.open(identity(o.indexes)); err == nil {
			return opened, nil
		}
	}
	return catalogue.Open(data, identity(o.indexes))
}

// write replaces the file. It is not flushed: one that a power cut left damaged
// is noticed and made anew.
func (o *offer) write(data []byte) error {
	dir := filepath.Dir(o.path())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "."+o.repository.config.Name+".*.tmp")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), o.path())
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// ask runs a question on the catalogue, and if that turns out damaged once more
// on one that is made of the cached indexes.
func (o *offer) ask(question func(*catalogue.Catalogue) error) error {
	o.mu.Lock()
	now := o.catalogue
	o.mu.Unlock()
	err := readable(func() error { return question(now) })
	runtime.KeepAlive(now)
	if err == nil {
		return nil
	}
	renewed, again := o.renew(now)
	if again == nil {
		again = readable(func() error { return question(renewed) })
		runtime.KeepAlive(renewed)
	}
	if again == nil {
		return nil
	}
	os.Remove(o.path()) // so that a refresh makes it anew
	err = fault.Mark(fmt.Errorf("repository %s: %w", o.repository.config.Name, errors.Join(err, again)), fault.Failed, "run: pkgtool refresh")
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failure == nil {
		o.failure = err
	}
	return err
}

// renew makes the catalogue anew, unless somebody has since was was read.
func (o *offer) renew(was *catalogue.Catalogue) (*catalogue.Catalogue, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.catalogue != was {
		return o.catalogue, nil
	}
	contents := make([][]byte, len(o.indexes))
	for i, is := range o.indexes {
		var err error
		if contents[i], err = o.repository.cached(is.object); err != nil {
			return nil, err
		}
	}
	renewed, err := o.build(contents)
	if err == nil {
		o.catalogue = renewed
	}
	return renewed, err
}
