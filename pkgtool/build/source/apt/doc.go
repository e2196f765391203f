// Package apt reads what a Debian archive and a host's apt configuration say:
// control stanzas, package and source indexes, signed release files, and which
// mirrors the host uses.
//
// In: bytes and the folder /etc/apt. Out: plain values.
// It promises: malformed input is an error with its line, never a panic; sizes
// are bounded; an index is only believed through a release file whose OpenPGP
// signature was made by a key of the given keyring.
// It never opens a network connection and never writes.
package apt
