// Package seed brings the tool chain that the first build starts from: binary
// packages of one Debian release, pinned by path, size and sum in a lock file,
// and unpacked into layers of a build root.
//
// In: a [Lock], a fetcher. Out: for each layer a folder with a file tree,
// named by the digest of everything that decides its content.
//
// It promises: a layer's folder is complete or absent, whatever happens while
// it is made; the same lock gives the same tree on every host, for every user,
// without privilege; no code of a Debian package is run; the host's files are
// never part of a tree. All programs of the seed are started by a loader name
// of their own, so that another C library can live beside theirs.
//
// It never changes a lock by itself: [Relock] returns a new one to review.
package seed
