package mirror

import (
	"bytes"
	"fmt"

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
	header, gone, came, err := index.Diff(old, new)
	if err == nil {
		err = headed(name, header)
	}
	if err != nil {
		return lying(err)
	}
	for i := range came {
		if err := p.add(objectOf(&came[i])); err != nil {
			return err
		}
	}
	for i := range gone {
		p.drop(gone[i].Path)
	}
	return nil
}

func objectOf(e *index.Entry) transport.Object {
	return transport.Object{Path: e.Path, Size: e.Size, SHA256: e.SHA256}
}

// readIndex decodes an index whose hash is proven.
func readIndex(name string, data []byte) ([]index.Entry, error) {
	header, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
	if err == nil {
		err = headed(name, header)
	}
	if err != nil {
		return nil, lying(err)
	}
	return entries, nil
}

// headed wants an index to be what its name says.
func headed(name string, h index.Header) error {
	if channel, arch, _ := indexTarget(name); h.Channel != channel || h.Arch != arch {
		return fmt.Errorf("%s says that it is of %.40q.%.40q", name, h.Channel, h.Arch)
	}
	return nil
}

// lying is the refusal of what was signed and cannot be.
func lying(err error) error {
	if tuf.KindOf(err) != "" {
		return err
	}
	return &tuf.Refusal{Kind: tuf.Lying, Err: err}
}
