// Package store keeps the contents of installed files, each once: a folder of
// objects, named by what they are ([Object.Key]: content, mode, owner and
// extended attributes), that trees share by hard links.
//
// Verified content comes in ([Store.Put], [Store.PutFrom], [Store.Create],
// [Store.Adopt]); names in a tree come out ([Store.Link]). An object is made
// straight under its final name and is not flushed: between [Store.Begin] and
// [Store.Seal] a mark says so, and after a crash [Store.Prune] removes what no
// generation refers to and proves the rest. Who locks, flushes and decides what
// is in use is package system.
//
// Promises: an object under its name has the content, mode, owner and
// attributes of its key; a call that fails leaves none. An object is never
// changed, only replaced. All methods can be used concurrently.
//
// Never: an empty file as an object (Link creates those, so that nobody's lock
// files share an inode), a symbolic link followed below the store's folder.
package store
