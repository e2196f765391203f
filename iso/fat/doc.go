// Package fat writes FAT16 and FAT32 file systems with a fixed content: the EFI
// system partition of an image.
//
// In: files and folders (package tree). Out: the file system as one stream,
// every file contiguous, long names kept, times and volume id as given; the
// same bytes for the same input. Ownership and permissions do not exist here.
//
// The number of clusters alone decides which FAT a reader assumes, so [New]
// chooses the cluster size and stays away from the borders.
//
// Format: Microsoft Extensible Firmware Initiative FAT32 File System
// Specification 1.03 (fatgen103).
package fat
