package mirror

import (
	"context"

	"ashlar/repo"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Push is the last step of publishing: it makes to show what the publisher's own
// repository in dir shows. Only what clients read is copied; nothing of .ashlar
// is. The repository's first root is trusted, for it is the publisher's own.
func Push(ctx context.Context, dir string, to store.Store, o Options) (*Result, error) {
	root, err := OwnRoot(dir)
	if err != nil {
		return nil, err
	}
	o.Root, o.Fingerprint = root, ""
	return Sync(ctx, to, []transport.Source{transport.Folder{Dir: dir}}, o)
}

// OwnRoot returns the first root of the repository in a folder. Who has made the
// repository can trust it.
func OwnRoot(dir string) ([]byte, error) {
	return transport.ReadSmall(transport.Folder{Dir: dir}.Path(repo.MetadataPath(metadata.ROOT, 1)), tuf.MaxSize[metadata.ROOT])
}
