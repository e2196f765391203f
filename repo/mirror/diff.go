package mirror

import (
	"bytes"

	"ashlar/repo/index"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// addIndex counts all lines of an index.
func (p *plan) addIndex(name string, data []byte) error {
	entries, err := readIndex(name, data)
	if err != nil {
		return err
	}
	for i := range entries {
		if err := p.add(objectOf(&entries[i])); err != nil {
			return err
		}
	}
	return nil
}

// dropIndex takes all lines of an index back.
func (p *plan) dropIndex(name string, data []byte) error {
	entries, err := readIndex(name, data)
	for i := range entries {
		p.drop(entries[i].Path)
	}
	return err
}

// replaceIndex counts what is in one version of an index and not in another.
func (p *plan) replaceIndex(name string, old, new []byte) error {
	before, err := readIndex(name, old)
	if err != nil {
		return err
	}
	after, err := readIndex(name, new)
	if err != nil {
		return err
	}
	had := make(map[string]string, len(before))
	for i := range before {
		had[before[i].Path] = before[i].SHA256
	}
	for i := range after {
		if had[after[i].Path] == after[i].SHA256 {
			delete(had, after[i].Path)
			continue
		}
		if err := p.add(objectOf(&after[i])); err != nil {
			return err
		}
	}
	for path := range had {
		p.drop(path)
	}
	return nil
}

func objectOf(e *index.Entry) transport.Object {
	return transport.Object{Path: e.Path, Size: e.Size, SHA256: e.SHA256}
}

// readIndex decodes an index whose hash is proven.
func readIndex(name string, data []byte) ([]index.Entry, error) {
	header, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
	if err != nil {
		return nil, &tuf.Refusal{Kind: tuf.Lying, Err: err}
	}
	if channel, arch, _ := indexTarget(name); header.Channel != channel || header.Arch != arch {
		return nil, tuf.Refuse(tuf.Lying, "%s says that it is of %.40q.%.40q", name, header.Channel, header.Arch)
	}
	return entries, nil
}
