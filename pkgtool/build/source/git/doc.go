// Package git makes an archive of one commit of a git repository.
//
// In: a repository's address, a full commit id. Out: a tar of that commit
// ([Archive]), the same bytes always and everywhere.
//
// The tar has one folder, named by the commit id, with every file of the
// commit: sorted by path, owner 0, mode 0644 or 0755, symbolic links as they
// are, and the time of the commit on everything. A submodule is an empty
// folder, or its files where they are asked for.
//
// It promises: objects are found by the sums of their content; only https and
// http are spoken; what a server sends is bounded in size, number and time.
//
// It never runs a program, a hook or a filter, replaces no LFS pointer, obeys
// no .gitattributes, and reads no git configuration of the host.
package git
