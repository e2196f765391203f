// Command conformance drives the client workflow of package trust the way the
// public TUF client conformance suite (github.com/theupdateframework/tuf-conformance,
// CLIENT-CLI.md) wants a client to be driven:
//
//	conformance --metadata-dir DIR init ROOT
//	conformance --metadata-dir DIR --metadata-url URL refresh
//	conformance --metadata-dir DIR --metadata-url URL --target-name NAME...
//	    --target-base-url URL --target-dir DIR download
//
// It exits with 0 if all went well and with 1 otherwise. Root, timestamp,
// snapshot and targets are [trust.Walk]'s own doing. Our repositories have no
// delegations; those of the suite are looked up here, on top of it. Cases that
// we decide otherwise are in conformance.xfails, with the reason; put that file
// beside the program. In a checkout of the suite, with its Python packages:
//
//	pytest tuf_conformance --entrypoint /path/to/conformance
package main
