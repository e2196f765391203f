// Package query answers questions about a system without changing it: what is
// installed and why, what depends on what, what is vulnerable, what is wrong.
//
// In come a system's records and what its repositories offer; out go answers as
// plain values, which the command line prints. It never takes the lock.
package query
