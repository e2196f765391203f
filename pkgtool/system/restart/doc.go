// Package restart tells which running processes still use files that have been
// replaced or removed since they began, which services they belong to, and
// whether only a reboot brings everything up to date.
//
// A root folder comes in; a [Report] comes out of what /proc says about
// memory maps and control groups. A transaction that exchanges trees leaves
// running programs on the old tree, which is then below /.ashlar/trees; one that
// works in place leaves them on deleted files. A file that both trees share is
// the same inode, and not old.
//
// It only reads. It cannot see scripts that an interpreter has read, nor the
// processes of others without privilege ([Report].Unseen).
package restart
