package main

import (
	"os"
	"path/filepath"
	"strings"

	"ashlar/repo/store"

	"golang.org/x/sys/unix"
)

// objectsProgram is this program with the libraries for object storage, which
// are larger than all the rest: it is a program, and a package, of its own.
const objectsProgram = "pkgtool-objects"

// handOver lets that program do what an argument names object storage for. It
// returns where there is nothing of the kind, or no such program; opening the
// place then fails and says what is missing.
func handOver() {
	if !namesObjectStorage(os.Args[1:]) {
		return
	}
	folders := []string{"/usr/lib/ashlar"}
	if self, err := os.Executable(); err == nil {
		folders = append([]string{filepath.Dir(self)}, folders...)
	}
	for _, folder := range folders {
		// Exec returns only if there is no such program.
		_ = unix.Exec(filepath.Join(folder, objectsProgram), os.Args, os.Environ())
	}
}

func namesObjectStorage(args []string) bool {
	for _, arg := range args {
		for _, scheme := range store.ObjectSchemes {
			if strings.HasPrefix(arg, scheme+"://") || strings.Contains(arg, "="+scheme+"://") {
				return true
			}
		}
	}
	return false
}
