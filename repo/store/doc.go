// Package store holds the places that a repository can be copied to: a folder,
// an object store, a registry. Whoever writes to one needs no more than this
// package's [Store]; whoever reads takes it as a transport.Source.
//
// In come files under the paths of the repository layout; a file appears as a
// whole or not at all. Immutable files come first, [Store.Sync] makes them
// durable, and [Store.Switch] replaces the one file that says which of them
// count. A crash at any moment leaves what was there before that step, or what
// the step made of it. Nothing here decides what to copy or to remove (package
// mirror does), and nothing is believed because a store holds it.
package store
