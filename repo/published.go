package repo

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"time"

	"ashlar/repo/advisory"
	"ashlar/repo/index"
	"ashlar/repo/tuf"
	"ashlar/signing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Published is what a repository or a mirror shows to clients at one moment:
// signatures and hashes are verified, expiry is told and not judged. It is for
// whoever describes a repository; clients decide by package trust.
type Published struct {
	Name      string // the publisher's name for the repository
	Root      string // sha256, in hexadecimal, of the newest root metadata
	Time      time.Time
	Roles     []PublishedRole // root, targets, snapshot, timestamp
	Indexes   []PublishedIndex
	Packagers []*signing.PublicKey // whose signatures clients accept
	Behind    bool                 // a publisher was stopped after a new root: clients refuse the rest until it is published again

	dir   string
	state *state
}

// PublishedRole is the metadata of a role and who may sign it.
type PublishedRole struct {
	Name      string
	Version   int64
	Expires   time.Time
	Keys      []string // identifiers
	Threshold int      // how many of the keys must sign
}

// PublishedIndex says which packages of a channel are offered for an arch.
type PublishedIndex struct {
	Channel, Arch string
	SHA256        string

	target string
}

// ReadPublished reads the state that the repository in dir shows now. A folder
// in which nothing was published yet has roles without version and no indexes.
func ReadPublished(dir string) (*Published, error) {
	s, err := readState(dir)
	if err != nil {
		return nil, err
	}
	p := &Published{Behind: s.behind, dir: dir, state: s}
	p.Name, _ = s.root.Signed.UnrecognizedFields["x-ashlar-repository"].(string)
	root, err := readBounded(filepath.Join(dir, MetadataPath(metadata.ROOT, s.root.Signed.Version)), tuf.MaxSize[metadata.ROOT])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(root)
	p.Root = hex.EncodeToString(sum[:])
	p.addRole(metadata.ROOT, s.root.Signed.Version, s.root.Signed.Expires)
	if s.timestamp == nil {
		return p, nil
	}
	p.Time = publishedAt(&s.timestamp.Signed)
	p.addRole(metadata.TARGETS, s.targets.Signed.Version, s.targets.Signed.Expires)
	p.addRole(metadata.SNAPSHOT, s.snapshot.Signed.Version, s.snapshot.Signed.Expires)
	p.addRole(metadata.TIMESTAMP, s.timestamp.Signed.Version, s.timestamp.Signed.Expires)
	for _, target := range s.indexes() {
		channel, arch, _ := parseIndexTarget(target)
		_, sum, err := targetFile(target, s.targets.Signed.Targets[target])
		if err != nil {
			return nil, err
		}
		p.Indexes = append(p.Indexes, PublishedIndex{channel, arch, sum, target})
	}
	return p, p.readPackagers()
}

func (p *Published) readPackagers() error {
	data, err := p.state.readTarget(p.dir, KeyringTarget)
	if err != nil {
		return err
	}
	keyring, err := signing.ReadKeyring(data)
	if err != nil {
		return err
	}
	p.Packagers = keyring.Keys()
	return nil
}

func (p *Published) addRole(name string, version int64, expires time.Time) {
	role := PublishedRole{Name: name, Version: version, Expires: expires}
	if r := p.state.root.Signed.Roles[name]; r != nil {
		role.Keys, role.Threshold = slices.Clone(r.KeyIDs), r.Threshold
	}
	p.Roles = append(p.Roles, role)
}

// Entries returns the packages of an index. Its error is fs.ErrNotExist where
// the file is not there, as on a mirror of other channels.
func (p *Published) Entries(i PublishedIndex) ([]index.Entry, error) {
	return p.state.entries(p.dir, i.target)
}

// Advisories returns the published advisories by identifier; none if the
// repository has none.
func (p *Published) Advisories() ([]*advisory.Advisory, error) {
	if p.state.targets == nil || p.state.targets.Signed.Targets[AdvisoriesTarget] == nil {
		return nil, nil
	}
	data, err := p.state.readTarget(p.dir, AdvisoriesTarget)
	if err != nil {
		return nil, err
	}
	return advisory.Decode(data, MaxAdvisories)
}
