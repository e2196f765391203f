package source

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/fault"
)

// maxRelease bounds an InRelease file, in bytes; Debian's has 150 kB.
const maxRelease = 16 << 20

// DebianArchive is one suite of the Debian archive, through the host's mirror.
type DebianArchive struct {
	fetcher *Fetcher
	mirror  string // mirror NAME
	suite   string
	Release *apt.Release
}

// OpenDebian fetches the suite's signed release file from mirror://debian and
// checks it against the keyring that the host's apt uses.
func OpenDebian(ctx context.Context, fetcher *Fetcher, suite string) (*DebianArchive, error) {
	uri := "mirror://debian/dists/" + suite + "/InRelease"
	data, err := fetcher.unpinned(ctx, uri, maxRelease)
	if err != nil {
		return nil, err
	}
	repositories, _ := apt.Repositories("/etc/apt") // only for the keyrings named there
	problem := error(fault.Errorf(fault.Security, "no keyring of the Debian archive on this host"))
	for _, path := range apt.Keyrings(repositories) {
		keys, err := apt.ReadKeyring(path)
		if err != nil {
			problem = fmt.Errorf("keyring %s: %w", path, err)
			continue
		}
		release, err := apt.VerifyRelease(data, keys, time.Now())
		if err != nil {
			problem = fmt.Errorf("%s with keyring %s: %w", uri, path, err)
			continue
		}
		if release.Origin != "Debian" || (release.Codename != suite && release.Suite != suite) {
			return nil, fault.Errorf(fault.Security, "%s is the release file of %q %q, not of Debian %s", uri, release.Origin, release.Codename, suite)
		}
		return &DebianArchive{fetcher, "debian", suite, release}, nil
	}
	return nil, fault.Mark(problem, fault.Security, "install or update the host's debian-archive-keyring")
}

// Index opens an index (such as main/source/Sources) after checking it against
// the release file; the caller closes it.
func (a *DebianArchive) Index(ctx context.Context, name string, progress Progress) (io.ReadCloser, error) {
	file, ok := a.Release.Files[name+".xz"]
	if !ok {
		return nil, fmt.Errorf("debian %s has no index %s.xz", a.suite, name)
	}
	dists := "mirror://" + a.mirror + "/dists/" + a.suite + "/"
	path, err := a.fetcher.Fetch(ctx, Source{ID: "index " + name, SHA256: file.SHA256, Size: file.Size, URIs: []string{
		dists + filepath.Dir(name) + "/by-hash/SHA256/" + file.SHA256,
		dists + name + ".xz",
	}}, progress)
	if err != nil {
		return nil, err
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	plain, err := Decompress(in)
	if err != nil {
		in.Close()
		return nil, err
	}
	return &indexReader{plain, in}, nil
}

type indexReader struct {
	io.ReadCloser
	file *os.File
}

func (r *indexReader) Close() error {
	err := r.ReadCloser.Close()
	r.file.Close()
	return err
}

// Find returns the versions of a source package in component main, oldest
// first as the index lists them.
func (a *DebianArchive) Find(ctx context.Context, name string, progress Progress) ([]*apt.SourcePackage, error) {
	index, err := a.Index(ctx, "main/source/Sources", progress)
	if err != nil {
		return nil, err
	}
	defer index.Close()
	var found []*apt.SourcePackage
	err = apt.ReadSources(index, func(p *apt.SourcePackage) error {
		if p.Name == name {
			found = append(found, p)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fault.Mark(fmt.Errorf("debian %s has no source package %q in main", a.suite, name), fault.Failed,
			"the source package can have another name than the binary one (apt-cache show NAME says)")
	}
	return found, err
}

// unpinned fetches a small file that proves itself by a signature.
func (f *Fetcher) unpinned(ctx context.Context, uri string, limit int64) ([]byte, error) {
	f.init()
	s := Source{URIs: []string{uri}}
	locations, tried := f.locate(s)
	if f.Offline {
		locations, tried = nil, append(tried, Attempt{Redact(uri), fmt.Errorf("fetching is off")})
	}
	for _, location := range locations {
		data, err := f.readAll(ctx, location, limit)
		if err == nil {
			return data, nil
		}
		tried = append(tried, Attempt{Redact(location), err})
	}
	return nil, fault.Mark(&FetchError{s.Name(), tried}, fault.Network, "check the network and the mirror")
}

func (f *Fetcher) readAll(ctx context.Context, location string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*stall)
	defer cancel()
	body, _, _, err := f.open(ctx, location, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	return data, plain(err)
}
