// Package abi reads what programs that are linked with a shared library can see
// of it, and compares two builds of one: its name, what it needs, and the
// symbols that it exports with their versions, kinds and, for data, sizes.
//
// Types of arguments are not in a stripped library; abidiff of libabigail reads
// those from debugging symbols. What is reported here as removed or changed
// breaks programs whatever the types are.
//
// Input is a file of any origin: damaged ones are errors, never a crash.
package abi
