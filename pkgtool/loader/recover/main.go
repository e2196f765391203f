// Command recover is run by an installed system's initial RAM file system, after
// its root was mounted and before that starts: it brings the system to rest and
// makes the generation current that the boot loader asked for.
//
//	recover ROOT
//
// What it did is told to the kernel's log and to /run/ashlar/boot.json. Its exit
// code is 1 if the system's state could not be read; it may start all the same.
package main

import (
	"context"
	"fmt"
	"os"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/loader"
)

func main() {
	sandbox.MaybeInit() // triggers run in one
	inside := len(os.Args) == 3 && os.Args[2] == insideArgument
	if len(os.Args) != 2 && !inside {
		fmt.Fprintln(os.Stderr, "usage: recover ROOT")
		os.Exit(2)
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err == nil {
		err = run(os.Args[1], string(cmdline), inside)
	}
	if err != nil {
		say(err.Error())
		os.Exit(1)
	}
}

func run(root, cmdline string, inside bool) error {
	boot, err := loader.Recover(context.Background(), root, cmdline)
	if err != nil {
		return err
	}
	if boot.Problem != "" && !inside {
		if err := enter(root); err != nil {
			boot.Problem += "; " + err.Error()
		}
	}
	for _, line := range boot.Messages() {
		say(line)
	}
	return boot.Write()
}

// say writes an alert to the kernel's log, which all consoles show.
func say(line string) {
	if err := os.WriteFile("/dev/kmsg", []byte("<1>ashlar: "+line+"\n"), 0); err != nil {
		fmt.Fprintln(os.Stderr, "ashlar: "+line)
	}
}
