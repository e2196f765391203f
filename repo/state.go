package repo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo/index"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// state is the metadata of a repository as it is published. All but root are
// nil before the first publication.
type state struct {
	root      *metadata.Metadata[metadata.RootType]
	targets   *metadata.Metadata[metadata.TargetsType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	timestamp *metadata.Metadata[metadata.TimestampType]

	// behind is set where a publisher was killed between a new root and what it
	// signs: the rest holds under the root before. Publishing again mends it.
	behind bool
}

// readState reads the published metadata and verifies its signatures and
// hashes; expiry does not matter to a publisher.
func readState(dir string) (*state, error) {
	newest, err := newestRoot(dir)
	if err != nil {
		return nil, err
	}
	root, err := readRoot(dir, newest)
	if err != nil {
		return nil, err
	}
	s, err := readUnder(dir, root)
	if tuf.KindOf(err) != tuf.Unsigned || newest == 1 {
		return s, err
	}
	before, e := readRoot(dir, newest-1)
	if e != nil {
		return nil, err
	}
	if s, e = readUnder(dir, before); e != nil {
		return nil, err
	}
	s.root, s.behind = root, true
	return s, nil
}

func readRoot(dir string, version int64) (*metadata.Metadata[metadata.RootType], error) {
	root, err := readRole(dir, MetadataPath(metadata.ROOT, version), metadata.ROOT, metadata.Root())
	if err != nil {
		return nil, err
	}
	if err := root.VerifyDelegate(metadata.ROOT, root); err != nil {
		return nil, fmt.Errorf("root %d: %w", version, tuf.Translate(err))
	}
	return root, nil
}

// readUnder reads what holds under a root.
func readUnder(dir string, root *metadata.Metadata[metadata.RootType]) (*state, error) {
	s := &state{root: root}
	var err error
	s.timestamp, err = readRole(dir, TimestampPath, metadata.TIMESTAMP, metadata.Timestamp())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.root.VerifyDelegate(metadata.TIMESTAMP, s.timestamp); err != nil {
		return nil, fmt.Errorf("%s: %w", TimestampPath, tuf.Translate(err))
	}
	meta := s.timestamp.Signed.Meta["snapshot.json"]
	if s.snapshot, err = readHung(dir, s.root, metadata.SNAPSHOT, meta, metadata.Snapshot()); err != nil {
		return nil, err
	}
	meta = s.snapshot.Signed.Meta["targets.json"]
	s.targets, err = readHung(dir, s.root, metadata.TARGETS, meta, metadata.Targets())
	return s, err
}

// newestRoot returns the highest version of root metadata in dir.
func newestRoot(dir string) (int64, error) {
	entries, err := os.ReadDir(filepath.Join(dir, metadataDir))
	if err != nil {
		return 0, err
	}
	var newest int64
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), "."+metadata.ROOT+".json")
		if !ok {
			continue
		}
		if v, err := strconv.ParseInt(number, 10, 64); err == nil && v > newest {
			newest = v
		}
	}
	if newest == 0 {
		return 0, fault.Mark(fmt.Errorf("%s holds no root metadata", dir), fault.Usage, "make a repository with: pkgtool repo init")
	}
	return newest, nil
}

// readHung reads a role whose version, length and hash other metadata states.
func readHung[T metadata.Roles](dir string, root *metadata.Metadata[metadata.RootType], role string,
	meta *metadata.MetaFiles, into *metadata.Metadata[T]) (*metadata.Metadata[T], error) {
	path := MetadataPath(role, meta.Version)
	data, err := readBounded(filepath.Join(dir, path), tuf.MaxSize[role])
	if err != nil {
		return nil, err
	}
	if err := meta.VerifyLengthHashes(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, tuf.Translate(err))
	}
	m, err := readRole(dir, path, role, into)
	if err != nil {
		return nil, err
	}
	if err := root.VerifyDelegate(role, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, tuf.Translate(err))
	}
	return m, nil
}

func readRole[T metadata.Roles](dir, path, role string, into *metadata.Metadata[T]) (*metadata.Metadata[T], error) {
	data, err := readBounded(filepath.Join(dir, path), tuf.MaxSize[role])
	if err != nil {
		return nil, err
	}
	if err := tuf.Check(role, data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := into.FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, tuf.Translate(err))
	}
	return m, nil
}

// readBounded reads a regular file of at most max bytes.
func readBounded(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("%s is longer than the %d bytes allowed", path, max)
	}
	return data, nil
}

// file is where the content of a target lies, and its hash in hexadecimal.
func targetFile(name string, t *metadata.TargetFiles) (path, sum string, err error) {
	raw, ok := t.Hashes["sha256"]
	if !ok || len(raw) != sha256.Size {
		return "", "", fmt.Errorf("target %.200q has no sha256", name)
	}
	sum = hex.EncodeToString(raw)
	return TargetPath(name, sum), sum, nil
}

// has reports whether there is a target of this name.
func (s *state) has(name string) bool {
	return s.targets != nil && s.targets.Signed.Targets[name] != nil
}

// packages is how many packages an index lists; 0 if there is no such index.
func (s *state) packages(name string) int {
	if !s.has(name) {
		return 0
	}
	return customOf(s.targets.Signed.Targets[name]).Packages
}

// readTarget reads a target's content and checks its length and hash.
func (s *state) readTarget(dir, name string) ([]byte, error) {
	if !s.has(name) {
		return nil, fs.ErrNotExist
	}
	t := s.targets.Signed.Targets[name]
	path, _, err := targetFile(name, t)
	if err != nil {
		return nil, err
	}
	data, err := readBounded(filepath.Join(dir, filepath.FromSlash(path)), t.Length)
	if err != nil {
		return nil, err
	}
	if err := t.VerifyLengthHashes(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, tuf.Translate(err))
	}
	return data, nil
}

// parseIndexTarget takes the name of an index apart.
func parseIndexTarget(name string) (channel, arch string, ok bool) {
	base, found := strings.CutPrefix(name, indexDir+"/")
	base, suffix := strings.CutSuffix(base, ".zst")
	channel, arch, dot := strings.Cut(base, ".")
	return channel, arch, found && suffix && dot && channelName.MatchString(channel) && archName.MatchString(arch)
}

// indexes returns the index targets of the published state, sorted.
func (s *state) indexes() []string {
	if s.targets == nil {
		return nil
	}
	var names []string
	for name := range s.targets.Signed.Targets {
		if _, _, ok := parseIndexTarget(name); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// entries returns the packages of one published index; none if there is none.
func (s *state) entries(dir, name string) ([]index.Entry, error) {
	data, err := s.readTarget(dir, name)
	if errors.Is(err, fs.ErrNotExist) && !s.has(name) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
	return entries, err
}
