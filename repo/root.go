package repo

import (
	"os"
	"path/filepath"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Root is a repository's root metadata: what a client pins to trust it.
type Root struct {
	Version int64             `json:"version"`
	Expires time.Time         `json:"expires"`
	Keys    map[string]string `json:"keys"` // role to key id
	Data    []byte            `json:"-"`    // the file to pin
}

// ReadRoot reads the newest root metadata of the repository in dir. It needs
// no private key.
func ReadRoot(dir string) (*Root, error) {
	s, err := readState(dir)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, MetadataPath(metadata.ROOT, s.root.Signed.Version)))
	if err != nil {
		return nil, err
	}
	r := &Root{Version: s.root.Signed.Version, Expires: s.root.Signed.Expires, Keys: map[string]string{}, Data: data}
	for _, role := range roles {
		if ids := s.root.Signed.Roles[role].KeyIDs; len(ids) > 0 {
			r.Keys[role] = ids[0]
		}
	}
	return r, nil
}
