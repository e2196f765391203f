package places

import (
	"testing"

	"ashlar/repo/store"
	_ "ashlar/repo/store/blob" // s3://
	"ashlar/repo/store/storetest"
)

func TestBucketIsAStore(t *testing.T) {
	url := startS3(t).url()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, url) })
}

func TestBucketServes(t *testing.T) {
	s := startS3(t)
	newWorld(t).lifecycle(s.url(), s.public(), func() int { return countFiles(t, s.data) })
}
