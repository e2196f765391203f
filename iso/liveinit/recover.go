package main

import (
	"syscall"

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
	pid, err := syscall.ForkExec(program, append([]string{program}, args...), &syscall.ProcAttr{
		Env: []string{"PATH=/usr/bin:/bin", "TERM=linux"}, Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return 0, wrap("start "+program, err)
	}
	var status unix.WaitStatus
	for {
		got, err := unix.Wait4(pid, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, wrap("wait for "+program, err)
		}
		if got == pid {
			break
		}
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}
