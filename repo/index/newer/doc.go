// Package newer gets an index from a source when an older one is there: its
// table, and the frames that the older one does not have.
//
// In come the older index, a source, and the length and hash that are signed of
// the new index; out comes the new index, which has them. What the source says
// about frames decides only what is asked for next. [ErrWhole] says that the
// whole file should be fetched instead, because little would be saved, or
// because the source does not do ranges or told something that cannot be; until
// then no more than the length of the file was asked for.
package newer
