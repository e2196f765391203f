// Package server holds the tests of the server image as a whole: machines in
// QEMU, looked at over SSH by whoever has the key.
//
// make test-server builds what they need and runs them. Machines get their key
// on a NoCloud medium, as in a cloud.
package server
