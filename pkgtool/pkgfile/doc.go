// Package pkgfile writes and reads packages: one signed manifest and the files
// it describes, in a valid tar.zst. The format is docs/formats/package.md.
//
// In: a [Manifest] and [Input] files, or a package file. Out: a package file
// ([Write], [Resign]), or verified files ([Package.Walk], [Package.OpenFile],
// [Package.Extract]).
//
// Promises: the same input gives the same bytes, whatever the host, clock, core
// count or order. The reader accepts only what this writer would have written:
// the tar headers and the framing are recomputed from the manifest and
// compared. A frame's hash is checked before it is decompressed, a file's
// before its content counts as read. Sizes are checked before memory is taken.
//
// Never: decide who is trusted (that is [Package.VerifySignature]'s keyring),
// run anything, or take ownership, modes or times from the builder's disk.
package pkgfile
