// Package inside is the half of a farm's executor that runs on the farm: pid 1
// of a container that a BuildKit daemon made.
//
// In, over a socket that the daemon forwards to pkgtool: an [Order]; as files of
// the container: what /build and /dest begin with, packed. Out, over the same
// socket: the commands' output, how they ended ([Result]), and what lies in
// /dest and, after a failure, in /build. Commands run as in pkgtool's own sandbox.
//
// Promises: no process of the build runs when folders are packed, so that what
// comes back is complete; nobody but pid 1 speaks on the socket (pkgtool takes one
// connection, and it is made before the first command); pid 1 ends when the
// socket does. Never: a file written outside /build and /dest.
package inside
