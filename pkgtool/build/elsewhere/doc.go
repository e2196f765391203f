// Package elsewhere runs this program once more under circumstances that must
// not matter to a build: other paths, another user, umask, host name, time
// zone, language and number of cores.
//
// In: an [Order]. Out: what the program wrote, and its exit code as an error.
//
// As root, folders are shown under other paths in a mount namespace of its own,
// by idmapped mounts: what belongs to root there belongs to the ordinary user
// inside, so that it can read and write everything as its own, and nothing on
// the disk changes hands. An ordinary user has no such power; paths and user
// then stay as they are.
//
// Never: change anything of the host; what it mounts ends with the program.
package elsewhere
