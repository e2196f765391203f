package trigger

// Output is what triggers made.
type Output struct {
	Changes []Change // sorted by path, so that a folder comes before what is in it
	Log     []byte   // the end of what the triggers printed, 64 KiB at least
	Ran     []string // names of triggers

	workspace *workspace
}

// Close removes the contents of the changed files. It may be called twice.
func (o *Output) Close() error {
	if o.workspace == nil {
		return nil
	}
	return o.workspace.close()
}

// Removed is the Type of a [Change] that takes a path away. Of a folder, each path
// in it has a Change as well.
const Removed = "removed"

// Change is a path below etc/, usr/ or var/ that triggers made, changed or
// removed. Owners are those to set as root.
type Change struct {
	Path           string            // relative
	Type           string            // pkgfile.TypeFile, TypeDir, TypeSymlink, or Removed
	Mode, UID, GID uint32            // permission bits and owner
	Xattrs         map[string][]byte // nil if there are none
	Target         string            // of a symbolic link
	Size           int64             // of a file, in bytes
	Source         string            // of a file: where its content is, until Close; it may be moved away
}
