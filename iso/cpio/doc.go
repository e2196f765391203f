// Package cpio writes "newc" cpio archives, the form of an initial RAM file
// system (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
//
// In: entries (package tree). Out: an uncompressed archive as one stream, the
// same for the same entries: inode numbers count up, link counts and times come
// from the entries. Compression is the caller's.
package cpio
