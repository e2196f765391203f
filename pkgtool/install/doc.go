// Package install brings client, solver and system together: it turns what a
// person asks for into a plan, and the plan into a new generation.
//
// A [Request] comes in; a [Plan] comes out: [Session.Plan] says which packages
// come and go and why, [Plan.Prepare] what that means for files, space and the
// download, [Plan.Commit] does it. [World], [Lock] and [Hold] are the files in
// which people say what a system shall consist of (docs/formats/lock.md).
//
// It promises that what is installed was verified: a package of a repository by
// the signed index and a packager of its keyring, a package file by a keyring
// that the caller names or by a repository's packagers. It never installs an
// unverified package, and changes nothing but the cache before Commit.
package install
