package main

import (
	"golang.org/x/sys/unix"
)

// Priorities of the kernel log: an alert shows even on a quiet console.
const (
	priorityAlert   = "<1>"
	priorityWarning = "<4>"
	priorityInfo    = "<6>"
)

const known = "ashlar.medium, ashlar.root, ashlar.wait, ashlar.memory, ashlar.toram, root=UUID=, rd.md.uuid, rd.luks.uuid, rd.lvm.lv, init"

// failure is an error with a message of its own.
type failure string

func (f failure) Error() string { return string(f) }

// wrap says what failed; a nil error stays nil.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return failure(doing + ": " + message(err))
}

// message keeps the text of an error; package fmt would cost as much as the
// rest of this program.
func message(err error) string { return err.Error() }

func say(text string) { log(priorityInfo, text) }

// log writes to the kernel log, which all consoles show. Where that is not
// possible, the console of this process has to do.
func log(priority, text string) {
	const maxRecord = 900 // the kernel cuts records at about 1000 bytes
	text = text[:min(len(text), maxRecord)]
	fd, err := unix.Open("/dev/kmsg", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, []byte(priority+"ashlar: "+text+"\n"))
		unix.Close(fd)
	}
	if err != nil {
		unix.Write(2, []byte("ashlar: "+text+"\n"))
	}
}

// openConsole makes /dev/console standard input, output and error.
func openConsole() {
	fd, err := unix.Open("/dev/console", unix.O_RDWR, 0)
	if err != nil {
		return
	}
	for target := range 3 {
		if fd != target {
			unix.Dup3(fd, target, 0)
		}
	}
	if fd > 2 {
		unix.Close(fd)
	}
}

// emergency says what went wrong. If it may, and there is a shell in the initial RAM
// file system, it goes on as that shell; else process 1 ends, and the kernel panics, which
// reboots the machine if panic= says so.
func emergency(err error, mayShell bool) {
	log(priorityAlert, "cannot start the system: "+message(err))
	const shell = "/bin/sh"
	if mayShell && isTerminal(0) && unix.Access(shell, unix.X_OK) == nil {
		log(priorityAlert, "starting a shell; its end ends the machine")
		unix.Exec(shell, []string{shell}, []string{"PATH=/bin:/usr/bin", "TERM=linux", "PS1=ashlar emergency# "})
	}
	log(priorityAlert, "known parameters: "+known)
	sleep(200) // slow consoles print it first
	unix.Exit(1)
}

func decimal(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return decimal(n/10) + decimal(n%10)
}
