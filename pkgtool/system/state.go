package system

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/version"
)

// Where state lives below the root. docs/formats/system.md describes it.
const (
	stateDir       = ".ashlar"
	lockPath       = stateDir + "/lock"
	currentPath    = stateDir + "/current" // symbolic link to generations/N
	journalPath    = stateDir + "/journal.json"
	stagingDir     = stateDir + "/staging"
	generationsDir = stateDir + "/generations"
	manifestsDir   = stateDir + "/manifests"
	savedDir       = stateDir + "/saved"
	goodPath       = stateDir + "/good"   // symbolic link to the last generation that was proved to start
	nextPath       = stateDir + "/staged" // symbolic link to the generation that the next start is to make
	treesDir       = stateDir + "/trees"
	spareRoot      = treesDir + "/spare"     // holds usr
	discardedDir   = treesDir + "/discarded" // trees that only wait for their removal
)

// What the tree that is exchanged as a whole consists of.
const (
	treeTop      = "usr"
	identityDir  = treeTop + "/lib/ashlar"
	identityPath = identityDir + "/tree" // sha256 of the generation.json of the tree's generation
)

// inTree reports whether a path is exchanged with its tree.
func inTree(path string) bool { return path == treeTop || strings.HasPrefix(path, treeTop+"/") }

// formatVersion is that of generation.json and journal.json. Format 1 is read
// too: it lacks the fields of trees and stores.
const formatVersion = 2

func knownFormat(format int) bool { return format == 1 || format == formatVersion }

// Limits on what is read back, in bytes.
const (
	maxGeneration = 256 << 20
	maxManifest   = 64 << 20
)

// Generation is one state of the system: which packages are installed.
type Generation struct {
	Format   int       `json:"format"`
	Number   int       `json:"number"`
	Time     time.Time `json:"time"`
	Reason   string    `json:"reason,omitempty"`  // "install zlib"
	Command  []string  `json:"command,omitempty"` // what a person typed
	Packages []Record  `json:"packages"`          // sorted by name, then version

	// Generated is the hash of a manifest like a package's: files that triggers
	// made. "" if there are none.
	Generated string `json:"generated,omitempty"`

	// Users and Groups are the numbers of the owners that the packages' files
	// have, except root.
	Users  map[string]uint32 `json:"users,omitempty"`
	Groups map[string]uint32 `json:"groups,omitempty"`

	Pinned bool `json:"-"` // never pruned, see Pin

	identity string // sha256 of generation.json
}

// Record is what a generation says of one package. Its file list is in the
// manifest that it names.
type Record struct {
	Name          string          `json:"name"`
	Version       version.Version `json:"version"`
	Arch          string          `json:"arch"`
	Upstream      string          `json:"upstream,omitempty"`
	Summary       string          `json:"summary,omitempty"`
	Manifest      string          `json:"manifest"`            // sha256 of its canonical JSON
	Repo          string          `json:"repo,omitempty"`      // "" for a package file given by path
	Requested     bool            `json:"requested,omitempty"` // a person asked for it
	InstalledSize int64           `json:"installed_size"`      // bytes
	Requires      []string        `json:"requires,omitempty"`
	Provides      []string        `json:"provides,omitempty"`
	Conflicts     []string        `json:"conflicts,omitempty"`
	Replaces      []string        `json:"replaces,omitempty"`
	Recommends    []string        `json:"recommends,omitempty"`
	Supplements   []string        `json:"supplements,omitempty"`
	Vendor        string          `json:"vendor,omitempty"`
	InstallOnly   bool            `json:"install_only,omitempty"` // several builds may stand side by side

	// SignedBy are the fingerprints that the package file named as its signers.
	// One of them at least was proved when it was installed.
	SignedBy []string `json:"signed_by,omitempty"`

	Triggers []pkgfile.Trigger `json:"triggers,omitempty"`
}

// newRecord makes the record of a package that is being installed.
func newRecord(p *pkgfile.Package, repo string, requested bool) (Record, error) {
	m := p.Manifest()
	v, err := m.EVR()
	if err != nil {
		return Record{}, err
	}
	return Record{
		Name: m.Name, Version: v, Arch: m.Arch, Upstream: m.Upstream, Summary: m.Summary,
		Manifest: p.ManifestSHA256(), Repo: repo, Requested: requested, InstalledSize: m.InstalledSize,
		Requires: m.Requires, Provides: m.Provides, Conflicts: m.Conflicts, Replaces: m.Replaces, Recommends: m.Recommends,
		Supplements: m.Supplements, Vendor: m.Vendor, InstallOnly: m.InstallOnly, Triggers: m.Triggers,
		SignedBy: slices.Sorted(maps.Keys(p.Signatures())),
	}, nil
}

func sortRecords(records []Record) {
	slices.SortFunc(records, func(a, b Record) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return a.Version.Compare(b.Version)
	})
}

// encode returns the bytes of generation.json and makes their hash the
// generation's identity.
func (g *Generation) encode() ([]byte, error) {
	data, err := encodeJSON(g)
	g.identity = hexSum(data)
	return data, err
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func encodeJSON(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(data, '\n'), err
}

func generationDir(number int) string { return fmt.Sprintf("%s/%d", generationsDir, number) }

func generationPath(number int) string { return generationDir(number) + "/generation.json" }

func manifestPath(sha256 string) string { return manifestsDir + "/" + sha256 + ".json" }

// damaged marks an error about state that somebody or something has changed.
func damaged(err error) error {
	return fault.Mark(err, fault.Security, "restore /.ashlar from a backup, or install into a new root")
}

// currentNumber reads which generation is current; 0 if there is none yet.
func (d *disk) currentNumber() (int, error) {
	target, err := d.readlink(currentPath)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(path.Base(target))
	if err != nil || number < 1 || target != fmt.Sprintf("generations/%d", number) {
		return 0, damaged(fmt.Errorf("%s points to %q, which is no generation", currentPath, target))
	}
	return number, nil
}

// readGeneration reads a generation; number 0 is the empty one.
func (d *disk) readGeneration(number int) (*Generation, error) {
	data, err := d.generationData(number)
	if err != nil {
		return nil, err
	}
	return d.decodeGeneration(number, data)
}

func (d *disk) generationData(number int) ([]byte, error) {
	if number == 0 {
		return nil, nil
	}
	data, err := d.readFile(generationPath(number), maxGeneration)
	if err != nil {
		return nil, fmt.Errorf("read generation %d: %w", number, err)
	}
	return data, nil
}

func (d *disk) decodeGeneration(number int, data []byte) (*Generation, error) {
	g := &Generation{Format: formatVersion}
	if number == 0 {
		return g, nil
	}
	if err := json.Unmarshal(data, g); err != nil {
		return nil, damaged(fmt.Errorf("read generation %d: %w", number, err))
	}
	if !knownFormat(g.Format) || g.Number != number {
		return nil, damaged(fmt.Errorf("%s says format %d and number %d", generationPath(number), g.Format, g.Number))
	}
	g.identity = hexSum(data)
	pin, err := d.lstat(pinPath(number))
	g.Pinned = pin != nil
	return g, err
}

// readManifest reads a manifest by its hash, which it proves. what is whose it
// is, for errors.
func (d *disk) readManifest(what, sha256 string) (*pkgfile.Manifest, error) {
	data, err := d.readFile(manifestPath(sha256), maxManifest)
	if err != nil {
		return nil, damaged(fmt.Errorf("read the manifest of %s: %w", what, err))
	}
	if hexSum(data) != sha256 {
		return nil, damaged(fmt.Errorf("the manifest of %s is not the one that was installed", what))
	}
	m, err := pkgfile.DecodeManifest(data)
	if err != nil {
		return nil, damaged(fmt.Errorf("read the manifest of %s: %w", what, err))
	}
	return m, nil
}
