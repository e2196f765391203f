// Package attack puts pkgtool in front of hostile mirrors: the 40 attacks on
// update systems A01 to A40, each over http and https, with nothing but evil
// mirrors and with a good one behind them, and the faults that networks have
// without anybody's ill will.
//
// The real program runs as a process on a system in a folder; the servers are
// scriptable ones on loopback (server_test.go) over a real signed repository, of
// which states with other contents are signed at need, as who has stolen keys
// could (forge_test.go). judge_test.go asks of every case what must hold
// whatever the attack: exit code, an untouched system, memory of nothing but
// what is genuine, a message that names kind, file and mirror and is fit for a
// terminal, bounds of time, memory and disk, and that a good mirror helps at once
// or afterwards. Attack N is TestAttacks/all/AN.
package attack
