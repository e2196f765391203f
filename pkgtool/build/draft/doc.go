// Package draft writes the first version of a recipe: it looks into an
// upstream archive and says what a person would find there — which build
// system, which version and licence, what it needs, what it will install.
//
// In goes an unpacked archive with its pinned source, out comes a recipe that
// lints. It never builds and never runs anything of the archive. What it could
// not find out it says openly, as notes for whoever goes on.
package draft
