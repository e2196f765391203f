// Package blob makes stores of object storage, through gocloud.dev/blob:
// s3://bucket, and gs://bucket and azblob://container in programs built with
// -tags gcs,azure. A program that imports it can store.Open their URLs.
//
// It is a package of its own because the libraries behind it are as large as
// the rest of pkgtool: only the program pkgtool-objects has them
// (docs/decisions/0044).
package blob
