package blob

import (
	"context"
	"fmt"
	"net/url"

	"ashlar/pkgtool/fault"
	"ashlar/repo/store"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // s3://
)

func init() {
	for _, scheme := range store.ObjectSchemes {
		store.Register(scheme, open)
	}
}

// tags are those that a program is built with to open a scheme.
var tags = map[string]string{"gs": "gcs", "azblob": "azure"}

// open opens scheme://bucket/prefix?parameters, the parameters being those of
// gocloud.dev's driver.
func open(ctx context.Context, u *url.URL) (store.Store, error) {
	if !blob.DefaultURLMux().ValidBucketScheme(u.Scheme) {
		return nil, fault.Mark(fmt.Errorf("%.200q: this program was built without %s://", u.Redacted(), u.Scheme), fault.Usage,
			fmt.Sprintf("build it with `go build -tags %s ./pkgtool/objects`", tags[u.Scheme]))
	}
	name, driver, err := split(u)
	if err != nil {
		return nil, err
	}
	b, err := blob.DefaultURLMux().OpenBucketURL(ctx, driver)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%.200q: %w", name, err), fault.Usage, "docs/publishing.md shows urls of object storage")
	}
	return &Bucket{b, name, u.Query().Get("request_checksum_calculation") != "when_required"}, nil
}
