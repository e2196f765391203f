package places

import (
	"testing"

	"ashlar/repo/store"
	_ "ashlar/repo/store/blob" // s3://
	"ashlar/repo/store/storetest"
)

func TestBucketIsAStore(t *testing.T) {
	url, _ := startS3(t)
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, url) })
}
