package blob

import (
	"net/url"
	"testing"

	"ashlar/repo/store"
	"ashlar/repo/store/storetest"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
)

func TestBucketIsAStore(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	storetest.Run(t, func(t *testing.T) store.Store {
		return &Bucket{blob.PrefixedBucket(bucket, ""), "mem://", false}
	})
}

func TestSplit(t *testing.T) {
	for text, want := range map[string][2]string{
		"s3://bucket":                           {"s3://bucket/", "s3://bucket"},
		"s3://bucket/":                          {"s3://bucket/", "s3://bucket"},
		"s3://bucket/a/b/?region=x":             {"s3://bucket/a/b/", "s3://bucket?prefix=a%2Fb%2F&region=x"},
		"s3://bucket?prefix=a":                  {"s3://bucket/a/", "s3://bucket?prefix=a%2F"},
		"s3://bucket?endpoint=http://127.0.0.1": {"s3://bucket/", "s3://bucket?endpoint=http%3A%2F%2F127.0.0.1"},
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		name, driver, err := split(u)
		if err != nil || name != want[0] || driver.String() != want[1] {
			t.Errorf("%s: %q, %q, %v; want %q", text, name, driver, err, want)
		}
	}
	for _, text := range []string{"s3:///x", "s3://user:secret@bucket/", "s3://bucket/../x"} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := split(u); err == nil {
			t.Errorf("took %s", text)
		}
	}
}
