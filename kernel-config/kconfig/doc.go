// Package kconfig reads the Kconfig files of a kernel source well enough to
// explain a configuration: what a symbol depends on, who selects it, and which
// part of a dependency is not met by a given .config.
//
// In: a source tree as an fs.FS, and today's values. Out: [Tree] with [Symbol]s
// and their [Definition]s, and [Explain]'s sentences. It never computes a
// configuration: the kernel's own conf stays the judge. Macros such as
// $(cc-option,...) are kept as text and count as unknown.
//
// The language: Documentation/kbuild/kconfig-language.rst of the kernel.
package kconfig
