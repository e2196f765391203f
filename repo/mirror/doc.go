// Package mirror copies a repository from where it is to where others shall read
// it, so that readers of the copy never see a state that the origin did not have.
//
// In come sources (transport.Source) of which nothing is believed, and a
// store.Store; out goes, by [Sync], one verified state of the origin, in the
// origin's own bytes. Every object is proven by its hash before it gets its
// name; the timestamp is switched last; what the mirror served is kept for a
// grace period after that. A run that is killed anywhere leaves the old state or
// the new one, and the next run goes on with what has arrived. Files that no run
// has brought are reported and never removed.
//
// [Push] is the last step of publishing, [Inspect] judges a mirror for
// monitoring. What a mirror remembers lies in .ashlar of the store: mirror.json
// says whom it trusts, what it copies and what it has seen; mirror-objects.zst
// lists what it holds (docs/formats/repository.md, Mirrors).
package mirror
