package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/advisory"
	"ashlar/repo/index"
	"ashlar/repo/tuf"
	"ashlar/signing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"
)

// Problem is one way in which a repository is not what it claims to be.
type Problem struct {
	Path    string   `json:"path"` // file in the repository
	Kind    tuf.Kind `json:"kind"`
	Message string   `json:"message"`
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Path, p.Kind, p.Message) }

// Missing is the kind of a file that is referred to and not there.
const Missing tuf.Kind = "missing"

// Report is the result of Check.
type Report struct {
	Packages int       `json:"packages"` // packages verified
	Bytes    int64     `json:"bytes"`    // bytes of packages read
	Problems []Problem `json:"problems"`
}

// CheckOptions says how Check goes about it.
type CheckOptions struct {
	// Quick leaves the content of packages alone: only whether each is there,
	// with the right size.
	Quick bool
}

// Check recomputes everything that the repository in dir claims, as a client
// with an empty cache would at now, and lists every mismatch. It reads all packages
// completely, several at a time. The error is for what kept it from checking.
func Check(ctx context.Context, dir string, now time.Time) (*Report, error) {
	return CheckWith(ctx, dir, now, CheckOptions{})
}

// CheckWith is Check with options.
func CheckWith(ctx context.Context, dir string, now time.Time, o CheckOptions) (*Report, error) {
	c := &checking{dir: dir, now: now, options: o, report: &Report{Problems: []Problem{}}, packages: map[string]index.Entry{}}
	if _, err := newestRoot(dir); err != nil {
		return nil, err
	}
	c.rootChain()
	s, err := readState(dir)
	if err != nil {
		c.problem(metadataDir, err)
		return c.report, nil
	}
	if s.timestamp == nil {
		c.problem(TimestampPath, &tuf.Refusal{Kind: Missing, Err: errors.New("nothing has been published yet; run pkgtool repo publish")})
		return c.report, nil
	}
	if s.behind {
		c.problem(TimestampPath, tuf.Refuse(tuf.Unsigned, "not signed by the keys of root version %d, but by those before; run pkgtool repo publish", s.root.Signed.Version))
	}
	c.expiries(s)
	kr := c.checkKeyring(s)
	for _, name := range s.targetNames() {
		switch name {
		case KeyringTarget:
		case AdvisoriesTarget:
			c.advisories(s)
		default:
			c.index(s, name)
		}
	}
	if err := c.checkPackages(ctx, kr); err != nil {
		return nil, err
	}
	c.strangers()
	return c.report, nil
}

type checking struct {
	dir      string
	now      time.Time
	options  CheckOptions
	packages map[string]index.Entry // by path; several indexes can list one

	mu     sync.Mutex // guards the numbers of report
	report *Report
}

func (c *checking) problem(path string, err error) {
	kind := tuf.KindOf(err)
	var r *tuf.Refusal
	if errors.As(err, &r) {
		err = r.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = Missing
	case kind == "":
		kind = tuf.Tampered
	}
	c.report.Problems = append(c.report.Problems, Problem{path, kind, tuf.Printable(err.Error())})
}

// rootChain proves that a client that trusts version 1 gets to the newest.
func (c *checking) rootChain() {
	newest, err := newestRoot(c.dir)
	if err != nil {
		c.problem(metadataDir, err)
		return
	}
	var last *metadata.Metadata[metadata.RootType]
	for v := int64(1); v <= newest; v++ {
		path := MetadataPath(metadata.ROOT, v)
		root, err := readRole(c.dir, path, metadata.ROOT, metadata.Root())
		if err != nil {
			c.problem(path, err)
			return
		}
		signer := root
		if last != nil {
			signer = last
		}
		if err := errors.Join(signer.VerifyDelegate(metadata.ROOT, root), root.VerifyDelegate(metadata.ROOT, root)); err != nil {
			c.problem(path, tuf.Translate(err))
			return
		}
		if root.Signed.Version != v {
			c.problem(path, tuf.Refuse(tuf.Tampered, "holds version %d", root.Signed.Version))
			return
		}
		last = root
	}
}

func (c *checking) expiries(s *state) {
	for _, role := range []struct {
		path    string
		expires time.Time
	}{
		{MetadataPath(metadata.ROOT, s.root.Signed.Version), s.root.Signed.Expires},
		{TimestampPath, s.timestamp.Signed.Expires},
		{MetadataPath(metadata.SNAPSHOT, s.snapshot.Signed.Version), s.snapshot.Signed.Expires},
		{MetadataPath(metadata.TARGETS, s.targets.Signed.Version), s.targets.Signed.Expires},
	} {
		if c.now.After(role.expires) {
			c.problem(role.path, tuf.Refuse(tuf.Stale, "expired on %s; run pkgtool repo publish", role.expires.Format(time.RFC3339)))
		}
	}
}

func (c *checking) checkKeyring(s *state) *signing.Keyring {
	data, err := s.readTarget(c.dir, KeyringTarget)
	if err != nil {
		c.problem(KeyringTarget, err)
		return nil
	}
	kr, err := signing.ReadKeyring(data)
	if err != nil {
		c.problem(KeyringTarget, err)
	}
	return kr
}

func (c *checking) advisories(s *state) {
	data, err := s.readTarget(c.dir, AdvisoriesTarget)
	if err == nil {
		_, err = advisory.Decode(data, MaxAdvisories)
	}
	if err != nil {
		c.problem(AdvisoriesTarget, err)
	}
}

func (c *checking) index(s *state, name string) {
	channel, arch, ok := parseIndexTarget(name)
	if !ok {
		channel, arch, ok = parseOldTarget(name)
	}
	if !ok {
		c.problem(name, tuf.Refuse(tuf.Tampered, "is not a target of this format"))
		return
	}
	data, err := s.readTarget(c.dir, name)
	if err != nil {
		c.problem(name, err)
		return
	}
	header, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
	if err != nil {
		c.problem(name, err)
		return
	}
	if header.Channel != channel || header.Arch != arch {
		c.problem(name, tuf.Refuse(tuf.Lying, "its header says channel %.40q, arch %.40q", header.Channel, header.Arch))
	}
	if custom := customOf(s.targets.Signed.Targets[name]); custom.Packages != header.Packages || custom.Plain != header.Plain {
		c.problem(name, tuf.Refuse(tuf.Lying, "it has %d packages in %d bytes; targets metadata says %d in %d", header.Packages, header.Plain, custom.Packages, custom.Plain))
	}
	for i := range entries {
		e := &entries[i]
		if other, twice := c.packages[e.Path]; twice && !sameEntry(&other, e) {
			c.problem(e.Path, tuf.Refuse(tuf.Lying, "two indexes describe it differently"))
		}
		c.packages[e.Path] = *e
	}
}

// checkPackages checks each package once.
func (c *checking) checkPackages(ctx context.Context, kr *signing.Keyring) error {
	paths := slices.Sorted(maps.Keys(c.packages))
	found := make([]error, len(paths))
	var group errgroup.Group
	group.SetLimit(min(runtime.GOMAXPROCS(0), maxWorkers))
	for i, path := range paths {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			e := c.packages[path]
			if c.options.Quick {
				found[i] = c.checkSize(&e)
			} else {
				found[i] = c.checkPackage(ctx, &e, kr)
			}
			return nil
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, path := range paths {
		if found[i] != nil {
			c.problem(path, found[i])
		}
	}
	return nil
}

func (c *checking) counted(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Packages++
	c.report.Bytes += size
}

func (c *checking) checkSize(e *index.Entry) error {
	info, err := os.Lstat(filepath.Join(c.dir, filepath.FromSlash(e.Path)))
	if err != nil {
		return err
	}
	c.counted(info.Size())
	if !info.Mode().IsRegular() || info.Size() != e.Size {
		return tuf.Refuse(tuf.Tampered, "has %d bytes; the index says %d", info.Size(), e.Size)
	}
	return nil
}

func (c *checking) checkPackage(ctx context.Context, e *index.Entry, kr *signing.Keyring) error {
	if err := e.CheckDependencies(); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(c.dir, filepath.FromSlash(e.Path)))
	if err != nil {
		return err
	}
	defer f.Close()
	size, sum, err := index.Sum(f)
	if err != nil {
		return err
	}
	c.counted(size)
	if size != e.Size || sum != e.SHA256 {
		return tuf.Refuse(tuf.Tampered, "has %d bytes, sha256 %s; the index says %d bytes, sha256 %s", size, sum, e.Size, e.SHA256)
	}
	p, err := pkgfile.Open(f, size)
	if err != nil {
		return err
	}
	actual := index.FromPackage(p, size, sum)
	if field, says, is := index.Difference(e, &actual); field != "" {
		return tuf.Refuse(tuf.Lying, "%s is %.200q in the index and %.200q in the package", field, says, is)
	}
	if kr != nil {
		if _, err := p.VerifySignature(kr, signing.Policy{Now: c.now}); err != nil {
			return &tuf.Refusal{Kind: tuf.Unsigned, Err: err}
		}
	}
	return p.Verify(ctx)
}

// strangers lists what does not belong into the folders that are served.
func (c *checking) strangers() {
	for _, folder := range served {
		filepath.WalkDir(filepath.Join(c.dir, folder), func(path string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(c.dir, path)
			switch {
			case errors.Is(err, fs.ErrNotExist): // a repository of before this folder
			case err != nil:
				c.problem(rel, err)
			case d.IsDir():
			case !d.Type().IsRegular():
				c.problem(rel, tuf.Refuse(tuf.Tampered, "is not a regular file"))
			case strings.HasPrefix(d.Name(), "."):
				// What a killed publisher left is not served and does no harm.
			}
			return nil
		})
	}
}
