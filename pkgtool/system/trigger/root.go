package trigger

import "time"

// Root says how the target of a transaction is put together. Nothing that it
// names is written to, but for Scratch.
type Root struct {
	// Live is the root folder of the system that is changed. The triggers see
	// its etc and var, and the symbolic links in it (bin, lib64, ...).
	Live string

	// Usr is the complete usr of the target. If it is empty, that of Live is
	// taken, with Files and Removed.
	Usr string

	// Files and Removed are what the transaction puts below etc/ and var/ and, if
	// Usr is empty, usr/, and its symbolic links in the root folder itself. A
	// folder in Removed goes with everything that is in it.
	Files   []File
	Removed []string

	// Scratch is an existing folder on a file system with room for what the
	// triggers write. If it lies on an overlay, a file system in memory is used.
	Scratch string

	// Timeout is for all triggers together; 0 means [DefaultTimeout].
	Timeout time.Duration
}

// File is a path of the target.
type File struct {
	Path           string // relative
	Type           string // pkgfile.TypeFile, TypeDir or TypeSymlink
	Source         string // of a file: a file with its content
	Target         string // of a symbolic link
	Mode, UID, GID uint32 // permission bits and owner; an ordinary user's files are his own
}
