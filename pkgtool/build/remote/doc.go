// Package remote reads and writes what builders share: results of builds, and
// the packages they name (docs/formats/build-cache.md).
//
// In: the URL of a place: a folder, a web server that serves files and perhaps
// takes them by PUT, or a repository of an OCI registry. Out: a [Store].
//
// Promises: a blob counts only with the size and sha256 that were asked for, an
// entry only with signatures by keys that the caller allows ([Unseal]); nothing
// a place answers is read without bound or waited for without end. A place that
// lies can make a build slower, and nothing else.
//
// Never: decide which keys are allowed, or keep anything on this host.
package remote
