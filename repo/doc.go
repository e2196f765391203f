// Package repo is the publisher's side of a package repository: a folder of
// static files that any web server can hold.
//
// In come signed packages, by [Repository.Add], each verified completely before
// it is taken; out goes, by [Repository.Publish], a new state that clients see
// all at once: immutable objects are written and flushed first, and one file,
// metadata/timestamp.json, is switched last. A publisher that is killed leaves
// the old state or the new one. Nothing that a published state needs is ever
// overwritten or removed here.
//
// Trust follows The Update Framework 1.0. The role keys live in a folder
// outside the repository ([Options].Keys) and never enter it. [Check] recomputes
// what a repository claims and lists every mismatch; [Handler] serves it,
// read-only. The layout is specified in docs/formats/repository.md.
package repo
