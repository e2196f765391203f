// Firstboot gives a machine that starts for the first time what its cloud says
// of it: name, accounts, keys, files, commands, network; and makes the root as
// large as the disk.
//
// In: a file system labelled CIDATA (NoCloud) or config-2 (config drive), and
// what was done before (/var/lib/ashlar/firstboot/instance). Out: files under
// /etc and /home.
//
// It runs once for every instance id. What it does not understand it names on
// standard error, which is the journal, and goes on: a machine that can be
// reached is worth more than one that is right in everything.
//
// Never: fetch from the network, or keep a secret that it was given.
package main
