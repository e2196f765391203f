// Package squashfs writes squashfs 4.0 images, compressed with zstd, from a
// list of entries: no unpacked tree, no root rights, no foreign tool.
//
// In: entries (package tree) whose content is read once, in path order.
// Out: an image that the kernel mounts, with hard links, devices, extended
// attributes, sparse blocks, tail packing and a name index for long folders.
//
// Promise: the bytes depend on the entries and options only, not on the number
// of workers, the clock or the host. Memory is bounded by the blocks in flight
// plus the metadata. Files with equal digests (or, where the digest is not
// known, equal size and content) are stored once.
//
// Never: compress a block with a window larger than the block. The kernel
// allocates its decompressor for exactly one block and refuses such frames.
//
// Format: Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h
// of Linux.
package squashfs
