// Package crash proves that a transaction of the real pkgtool is all or
// nothing, whatever ends it: SIGKILL at every system call that changes something
// (killat), loss of power with any of the unflushed writes lost (powercut), and
// errors of the disk.
//
// Its tests work on small systems made of generated packages. ASHLAR_CRASH=all
// tries every point; without it they try some of each kind. `make crash` sets it.
package crash
