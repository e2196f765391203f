// Package catalogue is what a system keeps of a repository's index so that
// asking costs next to nothing: a binary file that is opened in a moment and
// read where an answer needs it.
//
// In come the entries of a verified index ([Encode]); out of the file come
// entries by name, by what they provide, require, replace or supplement, and by
// words of their names and summaries. It is derived data, bound to the index it
// was made of: [Open] refuses one of another index or format, and every block
// is checked when it is first read, so that damage is an error ([ErrDamaged])
// and never a wrong answer. It protects against accidents, not against who can
// write to the cache; what is installed is verified by signatures anyway.
//
// It takes bytes, so that the file can be mapped; who maps it has to expect that
// the file is cut off meanwhile. The format is in docs/formats/repository.md.
package catalogue
