// Package data makes what the benchmarks measure with: the same real packages
// in our format and in those of dpkg, rpm and pacman, and signed repositories.
//
// In: packages.lock, the pinned binary packages of a Debian server, which it
// fetches once through pkgtool's sources cache. Out: a folder (Layout) with
// their trees, packages, upgrades of some, and a filler that makes an installed
// system ten times as large. README.md of tests/bench says what was done to be fair.
//
// It promises that every format holds exactly the same paths, modes and bytes at
// the same level of zstd, and that a folder that is complete is not made again.
package data
