// Package merge merges two descendants of a text line by line, as diff3 does:
// an administrator's configuration file with the package's new version of it.
//
// [Three] is a pure function of three texts. What only one side changed, or
// both changed alike, is taken; other changes that overlap or touch stand
// between conflict markers, with the common ancestor's lines in the middle.
// Its time and memory are bounded: binary, huge and too different texts are one
// conflict without a proposal. [Marked] finds markers that were left.
//
// The algorithm is that of Khanna, Kunal and Pierce, "A Formal Investigation of
// Diff3" (2007), over shortest edit scripts; where there is only one such script,
// the result is byte for byte that of git merge-file --diff3.
package merge
