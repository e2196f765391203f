package index

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// Change is one change of an index: a package to list or one to take out.
type Change struct {
	// Add is listed. If that very package is listed already, nothing happens.
	Add *Entry `json:"add,omitempty"`
	// Replace lets Add take the place of another package of the same ID, which
	// is refused without it.
	Replace bool `json:"replace,omitempty"`
	// Remove is taken out. If it is not listed, nothing happens.
	Remove *Ref `json:"remove,omitempty"`
}

// Ref names a package of an index.
type Ref struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	SHA256 string `json:"sha256,omitempty"` // empty: whatever it is
}

// RefOf returns what names an entry.
func RefOf(e *Entry) Ref { return Ref{e.Name, e.ID(), e.SHA256} }

// ErrListed is wrapped by the error of a change that adds a package of which
// the index has another one with the same ID.
var ErrListed = errors.New("is listed with other content")

// Edit applies changes, one after the other, to an index that was verified. The
// outcome is what Encode makes of the same entries, and repeating the changes
// changes nothing. Only frames that change are decompressed and compressed
// again; of all others it checks the hash. It also returns the length before
// compression.
func Edit(old []byte, changes []Change) (data []byte, plain int64, err error) {
	byName := map[string][]Change{}
	for _, c := range changes {
		name, err := c.check()
		if err != nil {
			return nil, 0, err
		}
		byName[name] = append(byName[name], c)
	}
	t, err := readTable(old)
	if errors.Is(err, ErrNoTable) || err == nil && t.writer != writer {
		return editAll(old, byName)
	}
	if err != nil {
		return nil, 0, err
	}
	e, err := newEditor(old, t)
	if err != nil {
		return nil, 0, err
	}
	items, err := e.items(byName)
	if err != nil {
		return nil, 0, err
	}
	frames, err := e.frames(items)
	if err != nil {
		return nil, 0, err
	}
	return assemble(e.header, frames)
}

// check says what is wrong with a change, and which name it is about.
func (c *Change) check() (name string, err error) {
	switch {
	case (c.Add == nil) == (c.Remove == nil):
		return "", errors.New("a change of an index either adds or removes")
	case c.Add == nil:
		return c.Remove.Name, nil
	}
	return c.Add.Name, c.Add.Validate()
}

// apply returns entries, all of one name, with changes made to them.
func apply(entries []Entry, arch string, changes []Change) ([]Entry, error) {
	for _, c := range changes {
		if c.Remove != nil {
			entries = slices.DeleteFunc(entries, func(e Entry) bool {
				return e.ID() == c.Remove.ID && (c.Remove.SHA256 == "" || c.Remove.SHA256 == e.SHA256)
			})
			continue
		}
		if c.Add.Arch != arch {
			return nil, fmt.Errorf("%s does not belong into an index of %s", c.Add.ID(), arch)
		}
		same := slices.IndexFunc(entries, func(e Entry) bool { return sameID(&e, c.Add) })
		switch {
		case same < 0:
			entries = append(entries, *c.Add)
		case c.Replace || entries[same].SHA256 == c.Add.SHA256:
			entries[same] = *c.Add
		default:
			return nil, fmt.Errorf("%s %w, sha256 %s", c.Add.ID(), ErrListed, entries[same].SHA256)
		}
	}
	return entries, Sort(entries)
}

// editAll is for an index without frames of ours.
func editAll(old []byte, byName map[string][]Change) ([]byte, int64, error) {
	header, entries, err := Decode(bytes.NewReader(old), Limits{})
	if err != nil {
		return nil, 0, err
	}
	changed := map[string][]Entry{}
	var kept []Entry
	for _, e := range entries {
		if byName[e.Name] == nil {
			kept = append(kept, e)
		} else {
			changed[e.Name] = append(changed[e.Name], e)
		}
	}
	for name, changes := range byName {
		some, err := apply(changed[name], header.Arch, changes)
		if err != nil {
			return nil, 0, err
		}
		kept = append(kept, some...)
	}
	return Encode(header.Channel, header.Arch, kept)
}

// editor makes an index of another one.
type editor struct {
	old      []byte
	table    table
	header   Header
	unpacker *unpacker
}

func newEditor(old []byte, t table) (*editor, error) {
	if t.end() != int64(len(old)) {
		return nil, fmt.Errorf("the index has %d bytes, and by its table %d", len(old), t.end())
	}
	limits := Limits{}.orDefault()
	if t.plain() > limits.Size {
		return nil, limits.tooLong()
	}
	e := &editor{old: old, table: t, unpacker: newUnpacker(1)}
	text, err := e.text(0)
	if err != nil {
		return nil, err
	}
	e.header, err = parseHeaderFrame(text, limits)
	return e, err
}

// bytes returns a frame, of which it checks the hash.
func (e *editor) bytes(i int) ([]byte, error) {
	f := e.table.frames[i]
	data := e.old[f.Offset : f.Offset+f.Size]
	return data, f.check(data)
}

// text returns what a frame holds.
func (e *editor) text(i int) ([]byte, error) {
	data, err := e.bytes(i)
	if err != nil {
		return nil, err
	}
	return e.unpacker.unpack(e.table.frames[i], data)
}

// items divides the changed index: into names where something changes, and
// frames everywhere else.
func (e *editor) items(byName map[string][]Change) ([]item, error) {
	byFrame := map[int]map[string][]Change{}
	for name, changes := range byName {
		i := e.table.find(name)
		if byFrame[i] == nil {
			byFrame[i] = map[string][]Change{}
		}
		byFrame[i][name] = changes
	}
	divided := map[int][]item{}
	for i := len(e.table.frames) - 1; i >= 0; i-- { // 0, the header's, is where the first names of an empty index go
		changes, ok := byFrame[i]
		if !ok {
			continue
		}
		some, err := e.divide(i, changes)
		if err != nil {
			return nil, err
		}
		divided[i] = some
		// Without the name that began it, the end of the frame before it is another.
		gone := i > 1 && !slices.ContainsFunc(some, func(it item) bool { return it.name == e.table.frames[i].First })
		if gone && byFrame[i-1] == nil {
			byFrame[i-1] = map[string][]Change{}
		}
	}
	items := divided[0]
	for i, f := range e.table.frames[1:] {
		if some, ok := divided[i+1]; ok {
			items = append(items, some...)
		} else {
			items = append(items, item{name: f.First, plain: f.Plain, frame: i + 1})
		}
	}
	return items, nil
}

// find returns the frame where a name is if it is anywhere: the first one of
// packages for a name before all others, and 0 if there is none.
func (t *table) find(name string) int {
	after := sort.Search(len(t.frames)-1, func(i int) bool { return t.frames[i+1].First > name })
	return min(max(after, 1), len(t.frames)-1)
}

// divide returns the names of a frame with changes made to it. It counts what
// the header will say.
func (e *editor) divide(frame int, byName map[string][]Change) ([]item, error) {
	names := map[string]*item{}
	old := map[string][]Entry{}
	if frame > 0 {
		text, err := e.text(frame)
		if err != nil {
			return nil, err
		}
		entries, err := parseFrame(e.table.frames[frame], text, e.header.Arch)
		if err != nil {
			return nil, err
		}
		for i, line := range slices.Collect(bytes.Lines(text)) {
			name := entries[i].Name
			if byName[name] != nil {
				old[name] = append(old[name], entries[i])
				continue
			}
			if names[name] == nil {
				names[name] = &item{name: name}
			}
			names[name].text = append(names[name].text, line...)
		}
	}
	for name, changes := range byName {
		was := len(old[name])
		entries, err := apply(old[name], e.header.Arch, changes)
		if err != nil {
			return nil, err
		}
		e.header.Packages += len(entries) - was
		if len(entries) == 0 {
			continue
		}
		text, err := appendLines(nil, entries)
		if err != nil {
			return nil, err
		}
		names[name] = &item{name: name, text: text}
	}
	items := make([]item, 0, len(names))
	for _, it := range names {
		it.plain = int64(len(it.text))
		items = append(items, *it)
	}
	slices.SortFunc(items, func(a, b item) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return items, nil
}

// frames cuts items, and packs the frames that are not there already.
func (e *editor) frames(items []item) ([]packed, error) {
	var frames []packed
	begins := cut(items)
	for i := 0; i < len(items); {
		end := i + 1
		for end < len(items) && !begins[end] {
			end++
		}
		p, err := e.frame(items[i:end])
		if err != nil {
			return nil, err
		}
		frames = append(frames, p)
		i = end
	}
	return frames, nil
}

func (e *editor) frame(items []item) (packed, error) {
	if len(items) == 1 && items[0].text == nil {
		data, err := e.bytes(items[0].frame)
		return packed{frame: e.table.frames[items[0].frame], data: data}, err
	}
	p := packed{frame: Frame{First: items[0].name}}
	for _, it := range items {
		text := it.text
		if text == nil {
			var err error
			if text, err = e.text(it.frame); err != nil {
				return packed{}, err
			}
		}
		p.text = append(p.text, text...)
	}
	return p, nil
}
