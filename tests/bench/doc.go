// Command bench measures pkgtool as a user has it, whole processes of the real
// program on a real signed repository, beside its rivals and beside what the
// machine could do at best, in the same run.
//
//	go run ./tests/bench [flags] [GROUP...]
//
// Without a group it runs all; -h lists them. It prints one table and writes the
// same as JSON. README.md beside this file says how fairness was sought and what
// each figure means. It needs root, and the tools that it names if they are missing.
package main
