// Package sbom writes what is known of packages as SPDX 2.3 documents: of one
// package file, with its files and sources, and the parts that documents of
// whole systems are made of.
//
// The same package always gives the same document.
package sbom
