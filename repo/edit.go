package repo

import (
	"ashlar/repo/index"
)

// edit is a change to an index: one of add, which may take the place of another
// build, and remove.
type edit struct{ add, remove *index.Entry }

// editIndex applies edits to an index, of which old may be nil for none.
func editIndex(old []byte, channel, arch string, edits []edit) (data []byte, c *custom, err error) {
	if old == nil {
		if old, _, err = index.Encode(channel, arch, nil); err != nil {
			return nil, nil, err
		}
	}
	var list []index.Change
	for _, e := range edits {
		if e.add != nil {
			list = append(list, index.Change{Add: e.add, Replace: true})
			continue
		}
		ref := index.RefOf(e.remove)
		list = append(list, index.Change{Remove: &ref})
	}
	data, plain, err := index.Edit(old, list)
	if err != nil {
		return nil, nil, err
	}
	header, err := index.ReadHeader(data)
	return data, &custom{Packages: header.Packages, Plain: plain}, err
}
