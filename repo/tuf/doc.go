// Package tuf guards the door of the go-tuf library: bytes from a mirror pass
// through here before the library parses them.
//
// In come metadata bytes of one role; out goes nil or a [*Refusal] that says
// what kind of wrong it is. The library answers JSON null in the wrong place
// with a nil pointer, lets duplicate and differently cased keys through and
// takes any int64 as a version; this package refuses all of those first, and
// bounds sizes and nesting. It checks shape, never signatures: those are
// go-tuf's.
package tuf
