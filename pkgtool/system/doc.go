// Package system changes what is installed below a root folder: the running
// system, an image being made, or any folder, with privilege or without.
//
// Verified packages and names to remove come in ([Change]); a [Plan] and then
// a new generation come out, also one that was there before
// ([System.PlanRollback]). State lives in /.ashlar below the root
// (docs/formats/system.md); [Tree] gives the same result as data for images.
//
// A transaction is all or nothing: /usr is brought up as a second tree of links
// into a store and exchanged, everything else is staged, and all is flushed
// before the journal is renamed into place, which is the commit point; what
// follows can be done again, and the next [Open] does so. A plan refuses before
// the first change: paths of two packages, foreign files in the way, lack of
// space. Its cost follows what changes, not what is installed.
//
// It never follows a symbolic link, never leaves the root, runs nothing of a
// package outside of a sandbox, never loses a file that no package owns, and
// never overwrites an edited configuration file.
package system
