package client

import (
	"encoding/hex"
	"errors"
	"runtime"

	"ashlar/pkgtool/client/catalogue"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/index/newer"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// What the last refresh found makes the next one cheap: indexes of which most
// has stayed, and the catalogue made of them. None of it has to be there.

// olderTarget returns what stored metadata says of a target.
func (r *repository) olderTarget(name string) (object, bool) {
	from, err := r.readStored()
	if err != nil || from.Targets == nil {
		return object{}, false
	}
	targets, err := metadata.Targets().FromBytes(from.Targets)
	if err != nil || targets.Signed.Targets[name] == nil {
		return object{}, false
	}
	t := targets.Signed.Targets[name]
	return object{hex.EncodeToString(t.Hashes["sha256"]), t.Length}, true
}

// older returns the index that the last refresh found under a name, nil if it
// is of no use.
func (r *repository) older(name string) []byte {
	o, ok := r.olderTarget(name)
	if !ok {
		return nil
	}
	data, err := r.cached(o)
	if err != nil || !newer.HasFrames(data) {
		return nil
	}
	return data
}

// few is the part of the packages that, if more of them are other ones, make a
// new catalogue cheaper than one brought up to date.
const few = 0.25

// update makes the catalogue of contents, the indexes of o, from the one of the
// last refresh. That it cannot is an error; then build can.
func (o *offer) update(contents [][]byte) (*catalogue.Catalogue, error) {
	was := make([]indexOf, len(o.indexes))
	for i, is := range o.indexes {
		older, ok := o.repository.olderTarget(repo.IndexTarget(o.repository.config.Channel, is.arch))
		if !ok {
			return nil, errors.New("there was another set of indexes")
		}
		was[i] = indexOf{is.arch, older}
	}
	before, err := o.open(identity(was))
	if err != nil {
		return nil, err
	}
	var gone, came []index.Entry
	for i, is := range o.indexes {
		if was[i] == is {
			continue
		}
		older, err := o.repository.cached(was[i].object)
		if err != nil {
			return nil, err
		}
		header, g, c, err := index.Diff(older, contents[i])
		if err == nil {
			err = o.repository.checkHeader(header, is.arch)
		}
		if err != nil {
			return nil, err
		}
		gone, came = append(gone, g...), append(came, c...)
	}
	if float64(len(gone)+len(came)) > few*float64(before.Len()) {
		return nil, errors.New("most is new")
	}
	var data []byte
	err = readable(func() (err error) { data, err = catalogue.Update(before, identity(o.indexes), gone, came); return err })
	runtime.KeepAlive(before)
	if err != nil {
		return nil, err
	}
	return o.keep(data)
}
