// Package debian reads what the benchmarks take from the Debian archive.
//
// In: binary packages and package indexes. Out: file trees with merged /usr
// (Unpack), relations with versions (ParseRelations), and a universe for
// pkgtool's solver (Convert) in which every relation is as true as it was in
// Debian. It promises that nothing a package holds can lead outside the folder
// it is unpacked into, and it runs no maintainer script.
package debian
