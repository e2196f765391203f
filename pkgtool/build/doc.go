// Package build turns recipes into packages.
//
// In: a tree of recipes, the seed, a source fetcher, a cache. Out: for every
// recipe asked for, its package files, unsigned, in the cache; with an output
// folder and a key, signed in that folder too.
//
// A build is an action: everything the build can see and nothing else, as
// canonical JSON whose digest is its key. Other packages enter it by the
// content of their files, so a dependency that comes out equal stops the
// rebuild there. What a build installed is kept under the action's key; dividing
// it into packages is a second, quick step with a key of its own, so that a
// change of claims or texts does not compile again.
//
// Promises: the same action gives the same packages; a cache entry is complete
// or absent, whatever was killed when; several engines may share a cache; what
// a build wrote is treated as hostile; the signing key never meets a build.
package build
