// Package hostile gives pkgtool what an attacker would give it, and asks that
// nothing happens: the 72 bad package files B01 to B72, roots in which somebody
// planted links and special files before, and removals from such roots.
//
// The packages are written byte by byte (raw_test.go), without our own writer
// and without archive/tar, and signed by a key that the system trusts. Each is
// given to the real command line in a process of its own; the trees inside and
// beside the root are hashed before and after, and time and memory are bounded.
// A case of number N is the subtest TestBadPackages/BN_name.
package hostile
