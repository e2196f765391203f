// Package kernelconfig merges a kernel flavour's configuration fragments and
// proves that a configured kernel has what the flavour promises.
//
// In: fragments (plain .config text plus rules), a flavour (which fragments, in
// which order, and overrides), a .config that the kernel's own tools completed.
// Out: [Merge]'s .config text, and [Check]'s [Report]: every required symbol
// that was lost, with the dependency that was not met (package kconfig), every
// wanted one that was lost, every forbidden one that is set.
//
// It promises that nothing asked for is lost in silence. It never decides what
// a configuration means: the kernel's conf does.
//
// Imported by everything to its right; imports nothing of the project but the
// shared readers.
package kernelconfig
