// Package ext4 writes ext4 file systems.
//
// In: the entries of a tree and the size of the file system. Out: [New] checks
// and lays out, [FileSystem.Write] fills a fresh file; blocks of zeros are not
// written, so the file stays as small as its content where files have holes.
//
// Promises: what e2fsck -f calls clean; checksums on all metadata; a journal;
// room in the descriptor table to grow a thousand times online; owners, modes,
// times, devices, hard links and extended attributes as given; the same bytes
// for the same input.
//
// Folders are lists, not hash trees: the kernel reads both, and a tree only
// pays above some thousand names. Access control lists are refused.
//
// The format is the one of the kernel's Documentation/filesystems/ext4.
package ext4
