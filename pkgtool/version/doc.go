// Package version knows what the versions, constraints, dependencies and
// provides written in recipes, manifests and indexes mean.
//
// A version is a semantic version (https://semver.org) plus a release number,
// sometimes with an epoch in front: [epoch:]1.2.3[-rc.1]-4. Texts come in,
// comparable values go out; every value prints in one canonical form which
// parses to the same value again.
//
// Parsing is strict and bounded. It never guesses: an upstream spelling that is
// no semantic version is the recipe's business, not this package's.
package version
