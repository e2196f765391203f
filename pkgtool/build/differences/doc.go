// Package differences says in words in what two files differ, for a person who
// has to find out why a build did not give the same bytes twice.
//
// In: two contents. Out: lines of text, a bounded number of them: the members
// of an archive that differ, the sections of an ELF file, the lines of a text,
// and else the bytes around the first difference.
//
// Never: trust the contents; what is malformed is compared as plain bytes.
package differences
