// Package attest says in a signed, standard form how packages were built: an
// in-toto statement (v1) with SLSA provenance (v1) in a DSSE envelope, signed
// with the packager's OpenPGP key.
//
// In goes a description of a build, out comes a document that names every
// input by its digest: sources, patches, files of the recipe, Go modules, the
// packages in the build root and the bootstrap tool chain. The same build gives
// the same bytes: no clock, no host name.
package attest
