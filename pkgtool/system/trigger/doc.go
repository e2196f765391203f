// Package trigger runs the programs that packages want to have run once after
// what they watch has changed (ldconfig, depmod, ...), before a transaction
// commits, so that it can still be given up.
//
// The triggers of the target's packages and the paths that a transaction
// changes come in; [Due] tells which run, [Run] runs them and returns what they
// made as a list of changes ([Output]), for the transaction to carry out.
//
// The programs see the system as it will be: /usr, /etc and /var, nothing else
// of the machine, no network, and only their own processes. Whatever they write
// lands in overlays; the live system, the tree and the store are never written.
// What they write outside of the three folders is thrown away. For root the
// numbers of owners are real; for an ordinary user everything is his own.
//
// It needs user namespaces and overlayfs. Where the machine refuses these, Run
// says so with [ErrUnavailable] and does nothing; it never runs a program
// without the sandbox.
package trigger
