// Package buildkit is an executor of builds on a farm: machines that run a
// BuildKit daemon.
//
// In: [Options] with the daemons' addresses, and works as the engine makes them.
// Out: the same bytes in a work's folders as with the executor of this host.
//
// A work is one solve of one daemon. Its root's layers, its sources and this
// program (package inside, which runs the commands there) are blobs that the
// daemon asks for by digest and keeps; nothing is pulled from anywhere else, and
// the daemon never has to reach this host: everything goes through the
// connection that pkgtool opens. The daemon's own cache of results is not used:
// the engine's keys are the only keys.
//
// A recipe goes to the daemon that rendezvous hashing names, if that has a slot
// free, since it has the recipe's sources already; when a daemon dies, the next
// one starts the work again.
//
// Promises: nothing in a work's folders changes before all of a result arrived;
// no network in a build. A daemon is trusted with what it builds, not with this
// host: what it sends is unpacked into the work's folder and nowhere else.
package buildkit
