package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ashlar/pkgtool/fault"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	transporthttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Commit names what to take from where.
type Commit struct {
	URL        string // https:// or http://, without a password
	ID         string // 40 lower-case hex digits
	Ref        string // branch or tag that leads to it; "" where the server gives out commits by id
	Submodules bool   // take their files too
}

var commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Check says what is wrong with c as written.
func (c Commit) Check() error {
	if err := checkURL(c.URL); err != nil {
		return err
	}
	switch {
	case len(c.ID) == 64:
		return errors.New("repositories with SHA-256 ids cannot be read yet; use an archive of the release")
	case !commitID.MatchString(c.ID):
		return fmt.Errorf("commit %.80q is not a full id of 40 lower-case hex digits", c.ID)
	}
	return checkRef(c.Ref)
}

func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("the repository's address cannot be parsed")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("repository %.200q: git is read through https only; files, ssh and programs are not", u.Redacted())
	case u.Host == "" || u.User != nil:
		return fmt.Errorf("repository %.200q has no host, or a password in it", u.Redacted())
	}
	return nil
}

func checkRef(ref string) error {
	for _, r := range ref {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("~^:?*[\\", r) {
			return fmt.Errorf("ref %.80q is not the name of a branch or tag", ref)
		}
	}
	return nil
}

// NotFoundError means that the server answered and has no such commit or ref.
type NotFoundError struct{ Text string }

func (e *NotFoundError) Error() string { return e.Text }

// Resolve returns the id of the commit that a branch or tag leads to now, or
// that HEAD does where ref is "". client bounds and proxies the requests.
func Resolve(ctx context.Context, client *http.Client, address, ref string) (string, error) {
	if err := errors.Join(checkURL(address), checkRef(ref)); err != nil {
		return "", fault.Mark(err, fault.Usage, "")
	}
	_, refs, err := open(ctx, client, address, nil)
	if err != nil {
		return "", err
	}
	if ref == "" {
		ref = "HEAD"
	}
	tip, peeled, ok := findRef(refs, ref)
	if !ok {
		return "", &NotFoundError{fmt.Sprintf("the repository has no branch or tag %q", ref)}
	}
	if !peeled.IsZero() {
		tip = peeled
	}
	return tip.String(), nil
}

// open asks a repository for its refs.
func open(ctx context.Context, client *http.Client, address string, received func(int64)) (transport.UploadPackSession, *packp.AdvRefs, error) {
	endpoint, err := transport.NewEndpoint(strings.TrimRight(address, "/"))
	if err != nil {
		return nil, nil, err
	}
	session, err := transporthttp.NewClient(bound(client, received)).NewUploadPackSession(endpoint, nil)
	if err != nil {
		return nil, nil, err
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, nil, plain(ctx, err)
	}
	return session, refs, nil
}

// plain drops addresses, which can hold a token, from an error.
func plain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	if errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrRepositoryNotFound) {
		return errors.New("the server has no such repository, or does not show it to everybody")
	}
	return err
}

func findRef(refs *packp.AdvRefs, ref string) (tip, peeled plumbing.Hash, ok bool) {
	if ref == "HEAD" && refs.Head != nil {
		return *refs.Head, plumbing.ZeroHash, true
	}
	for _, name := range []string{ref, "refs/" + ref, "refs/tags/" + ref, "refs/heads/" + ref} {
		if tip, ok := refs.References[name]; ok {
			return tip, refs.Peeled[name], true
		}
	}
	return tip, peeled, false
}

// want chooses what to ask for so that the answer has the commit: an object
// that the server names, the commit itself, or all of ref's history.
func want(refs *packp.AdvRefs, c Commit) (id plumbing.Hash, history bool, err error) {
	commit := plumbing.NewHash(c.ID)
	for name, tip := range refs.References {
		if tip == commit || refs.Peeled[name] == commit {
			return tip, false, nil
		}
	}
	if refs.Head != nil && *refs.Head == commit {
		return commit, false, nil
	}
	if refs.Capabilities.Supports(capability.AllowReachableSHA1InWant) || refs.Capabilities.Supports("allow-any-sha1-in-want") {
		return commit, false, nil
	}
	if c.Ref == "" {
		return id, false, &NotFoundError{fmt.Sprintf("no branch or tag is at commit %s, and the server gives out no other; write the branch or tag that leads to it into ref", c.ID)}
	}
	tip, _, ok := findRef(refs, c.Ref)
	if !ok {
		return id, false, &NotFoundError{fmt.Sprintf("the repository has no branch or tag %q", c.Ref)}
	}
	return tip, true, nil
}

// fetch brings the commit and all it needs into an object store in dir.
func fetch(ctx context.Context, client *http.Client, c Commit, dir string, received func(int64)) (*filesystem.Storage, error) {
	session, refs, err := open(ctx, client, c.URL, received)
	if err != nil {
		return nil, err
	}
	id, history, err := want(refs, c)
	if err != nil {
		return nil, err
	}
	request := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	request.Capabilities.Delete(capability.ThinPack)
	request.Wants = []plumbing.Hash{id}
	if !history && refs.Capabilities.Supports(capability.Shallow) {
		request.Depth = packp.DepthCommits(1)
		if err := request.Capabilities.Set(capability.Shallow); err != nil {
			return nil, err
		}
	}
	answer, err := session.UploadPack(ctx, request)
	if err != nil {
		return nil, plain(ctx, err)
	}
	defer answer.Close()
	var pack io.Reader = answer
	switch {
	case request.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case request.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	store, err := keepPack(pack, dir)
	if err != nil {
		return nil, plain(ctx, err)
	}
	return store, nil
}

// keepPack writes a pack to dir, looks whether it is within the bounds, and
// makes an object store of it.
func keepPack(pack io.Reader, dir string) (*filesystem.Storage, error) {
	file, err := os.Create(filepath.Join(dir, "received"))
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := io.Copy(file, pack); err != nil {
		return nil, fmt.Errorf("receive objects: %w", err)
	}
	if err := checkPack(file); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	store := filesystem.NewStorageWithOptions(osfs.New(filepath.Join(dir, "objects")), cache.NewObjectLRUDefault(),
		filesystem.Options{ExclusiveAccess: true, LargeObjectThreshold: largeObject})
	if err := packfile.UpdateObjectStorage(store, file); err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return store, nil
}
