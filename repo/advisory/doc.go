// Package advisory knows security advisories in the Open Source Vulnerability
// format (https://ossf.github.io/osv-schema, version 1): which builds of which
// packages are affected, and from which build on they are not.
//
// OSV documents come in (Parse), one at a time or as the file that a repository
// publishes (Decode). Out go answers: Advisory.Affects.
//
// It never asks a network, and keeps each document as its author wrote it.
package advisory
