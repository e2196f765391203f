package trust

import (
	"bytes"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// State is what is remembered of a repository: the metadata last verified. It
// is one document, so that it changes as a whole. Every use verifies it again;
// what it adds is memory, against going back.
type State struct {
	Format    int    `json:"format"`
	Pin       string `json:"pin"` // sha256 of the pinned root that Root descends from
	Root      []byte `json:"root"`
	Timestamp []byte `json:"timestamp,omitempty"`
	Snapshot  []byte `json:"snapshot,omitempty"`
	Targets   []byte `json:"targets,omitempty"`
}

// Further reports whether a saw a later state of the repository than b.
func (a State) Further(b State) bool {
	return timestampVersion(a.Timestamp) > timestampVersion(b.Timestamp) || !bytes.Equal(a.Root, b.Root) && rootVersion(a.Root) > rootVersion(b.Root)
}

func timestampVersion(data []byte) int64 {
	if data == nil {
		return 0
	}
	m, err := metadata.Timestamp().FromBytes(data)
	if err != nil {
		return 0
	}
	return m.Signed.Version
}

func rootVersion(data []byte) int64 {
	m, err := metadata.Root().FromBytes(data)
	if err != nil {
		return 0
	}
	return m.Signed.Version
}
