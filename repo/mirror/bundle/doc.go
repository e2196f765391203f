// Package bundle carries a state of a repository to where no network leads: one
// tar file with all that a mirror needs, or all that one mirror lacks.
//
// In come sources and, for what may be left out, a [Have]; out comes a file, by
// [Export], the same for the same state. [Open] makes it a transport.Source, of
// which nothing is believed: importing is mirror.Sync from it, with all of its
// checks. The format is specified in docs/formats/bundle.md.
package bundle
