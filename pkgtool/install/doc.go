// Package install brings client, solver and system together: it turns what a
// person asks for into a plan, and the plan into a new generation.
//
// A [Request] comes in; a [Plan] comes out, which can be shown, and then
// carried out with [Plan.Commit]. [Open] gives the [Session] that makes plans.
//
// It promises that what is installed was verified: a package of a repository by
// the signed index and a packager of its keyring, a package file by a keyring
// that the caller names or by a repository's packagers. It never installs an
// unverified package, and changes nothing before Commit.
package install
