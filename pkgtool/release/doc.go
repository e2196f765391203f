// Package release is the whole chain: recipes become packages, packages a
// signed repository, and packages of the repository an image.
//
// In: recipes, an image definition, the user's keys and caches. Out, in one
// folder: packages/, repo/ and the image with its manifest ([Image]).
//
// Promises: only packages that this run built or found by their inputs enter
// the image, each with a signature by the user's key that is verified; the
// image trusts exactly the repository made here; when nothing has changed,
// nothing is written.
//
// Never: decide anything itself. What is built is build's matter, what is
// published repo's, what fits together solver's, what an image is iso's.
package release
