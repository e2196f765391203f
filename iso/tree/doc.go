// Package tree is the file tree that the image writers take: a list of entries
// whose content is opened only when it is written.
//
// In: entries in any order, folders that nobody lists included by implication.
// Out: [Of] gives a checked tree, sorted by name, links resolved.
//
// Promise: a tree that Of returns has clean relative paths, no duplicates,
// nothing below a non-folder, and hard links that point at regular files; the
// order of its nodes depends on nothing but the paths. The writers in squashfs,
// iso9660, fat and cpio rely on that and check only their own format's limits.
package tree
