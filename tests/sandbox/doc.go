// Package sandbox lets hostile recipes try what a build must not be able to do,
// S01 to S34, with the real pkgtool, as root and as an ordinary user.
//
// The seed of these tests is one package with bash, busybox and the program in
// probe, which tries the acts and prints what came of each. A test looks at the
// log, at the packages and at the host. S28, repositories of git, is tried where
// they are read: package source/git.
package sandbox
