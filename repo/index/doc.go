// Package index is the package index of a repository: one line of JSON for
// each package, in a zstd file that hangs from the signed targets.
//
// In come entries (from verified packages) or the bytes of an index file that
// matched its signed length and hash; out go bytes or entries. The same entries
// always give the same bytes. [Decode] is bounded by the limits it is given,
// refuses anything [Encode] would not write except fields it does not know
// (a later version may add some), and never trusts a path: a package's path
// follows from the other fields, and an entry that says otherwise is refused.
//
// An index is many small frames behind a table, so that a change costs what
// changes: [Edit] writes few frames anew and gives what Encode gives, [Lookup]
// and [Diff] decompress few, and package newer fetches few.
//
// The format is specified in docs/formats/repository.md.
package index
