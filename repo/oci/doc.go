// Package oci says how a repository lies in an OCI registry
// (docs/formats/oci.md): which manifest lists which file, and what a manifest
// looks like.
//
// In come manifests, as untrusted as anything from a mirror, and lists of
// files; out go lists of files and manifests. Package transport reads a
// registry by it, package store writes to one.
package oci
