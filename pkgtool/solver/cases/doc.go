// Package cases reads and writes solver cases: a request and the universe that
// it is asked of, as files. A case is what a bug report, a test or an outside
// judge hands to `pkgtool solve`; docs/formats/solver-case.md specifies it.
//
// [Read] reads a case and [Case.Solve] answers it; [Write] writes one from what
// the solver was given; [ReadUniverse] reads a universe alone. Input is bounded,
// and an error names the file and the line.
package cases
