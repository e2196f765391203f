package main

import (
	"golang.org/x/sys/unix"
)

// recovery is the program that brings an installed system to rest. The initial
// RAM file system of a live image has none.
const recovery = "/recover"

// recoverSystem runs it, if it is there. The system starts whatever comes.
func recoverSystem() {
	if unix.Access(recovery, unix.X_OK) != nil {
		return
	}
	code, err := runProgram(recovery, root)
	switch {
	case err != nil:
		log(priorityAlert, message(err))
	case code != 0:
		log(priorityAlert, recovery+" ended with "+decimal(code)+"; starting the system as it is")
	}
}

// runProgram runs a program of the initial RAM file system on the console and
// waits for its end. A signal that ends it counts as code 128 and more.
func runProgram(program string, args ...string) (code int, err error) {
	return run3([]uintptr{0, 1, 2}, program, args...)
}
