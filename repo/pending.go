package repo

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"

	"ashlar/pkgtool/durable"
	"ashlar/repo/index"
)

// What is decided and not yet published lies in .ashlar/pending.jsonl: a header,
// then a line for each change to a channel. It is one file, so that whatever one
// command decides is there as a whole or not at all; and it is as long as what
// changes, not as the channels. Applying it to what has it already does nothing.

// change is what becomes of one package of a channel: one of Add, Remove, Forget.
type change struct {
	Channel string       `json:"channel"`
	Add     *index.Entry `json:"add,omitempty"`    // listed, also in place of another build of the same release
	Remove  *index.Entry `json:"remove,omitempty"` // not listed any more
	Forget  *index.Entry `json:"forget,omitempty"` // not listed as superseded any more
}

// entry is the package; nil if it is not exactly one.
func (c *change) entry() *index.Entry {
	var only *index.Entry
	for _, e := range []*index.Entry{c.Add, c.Remove, c.Forget} {
		if e != nil && only != nil {
			return nil
		}
		if e != nil {
			only = e
		}
	}
	return only
}

// target is the index that the change is to.
func (c *change) target() string {
	if c.Forget != nil {
		return OldIndexTarget(c.Channel, c.Forget.Arch)
	}
	return IndexTarget(c.Channel, c.entry().Arch)
}

// changes are kept by channel and package, of which each has at most one.
type changes map[changeKey]change

type changeKey struct{ target, id string }

const pendingFormat = 1

// pendingHeader is the first line of the file.
type pendingHeader struct {
	Format int `json:"ashlar_pending"`
}

func (r *Repository) pendingPath() string { return r.path(privateDir, "pending.jsonl") }

func (r *Repository) readPending() (changes, error) {
	data, err := os.ReadFile(r.pendingPath())
	if errors.Is(err, fs.ErrNotExist) {
		return changes{}, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := decodePending(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.pendingPath(), err)
	}
	return c, nil
}

func decodePending(data []byte) (changes, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	var head pendingHeader
	if err := d.Decode(&head); err != nil || head.Format != pendingFormat {
		return nil, fmt.Errorf("it does not begin as pending changes of format %d do", pendingFormat)
	}
	all := changes{}
	for d.More() {
		var c change
		if err := d.Decode(&c); err != nil {
			return nil, err
		}
		if !channelName.MatchString(c.Channel) || c.entry() == nil {
			return nil, fmt.Errorf("change %d is of no channel or not to one package", len(all)+1)
		}
		if err := c.entry().Validate(); err != nil {
			return nil, err
		}
		all[changeKey{c.target(), c.entry().ID()}] = c
	}
	return all, nil
}

func (c changes) encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(pendingHeader{pendingFormat}); err != nil {
		return nil, err
	}
	for _, key := range c.keys() {
		if err := enc.Encode(c[key]); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func (c changes) keys() []changeKey {
	keys := make([]changeKey, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b changeKey) int { return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.id, b.id)) })
	return keys
}

// of returns the changes to one index, in order.
func (c changes) of(target string) []change {
	var some []change
	for _, key := range c.keys() {
		if key.target == target {
			some = append(some, c[key])
		}
	}
	return some
}

// indexes lists the indexes that change, those of superseded packages left out.
func (c changes) indexes() []string {
	names := map[string]bool{}
	for key := range c {
		if _, _, ok := parseIndexTarget(key.target); ok {
			names[key.target] = true
		}
	}
	return slices.Collect(maps.Keys(names))
}

func (r *Repository) writePending(c changes) error {
	if len(c) == 0 {
		return r.forgetPending()
	}
	data, err := c.encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(r.pendingPath(), data, 0o644)
}

// forgetPending follows a publication. Should it not come to pass, the next
// publication finds nothing new in what is left.
func (r *Repository) forgetPending() error {
	if err := os.Remove(r.pendingPath()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return durable.SyncDir(r.path(privateDir))
}

func sameEntry(a, b *index.Entry) bool { return reflect.DeepEqual(a, b) }
