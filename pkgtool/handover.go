package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/build"
	"ashlar/repo/store"

	"golang.org/x/sys/unix"
)

// programs are this program with libraries that are larger than all the rest:
// programs, and packages, of their own.
var programs = []struct {
	name   string
	wanted func(args []string) bool
}{
	{"pkgtool-objects", namesObjectStorage},
	{"pkgtool-buildkit", namesFarm},
}

// handOver lets such a program do what the arguments ask for. It returns where
// there is nothing of the kind, or no such program; the command then fails and
// says what is missing.
func handOver() {
	folders := []string{"/usr/lib/ashlar"}
	if self, err := os.Executable(); err == nil {
		folders = append([]string{filepath.Dir(self)}, folders...)
	}
	for _, program := range programs {
		if !program.wanted(os.Args[1:]) {
			continue
		}
		for _, folder := range folders {
			// Exec returns only if there is no such program.
			_ = unix.Exec(filepath.Join(folder, program.name), os.Args, os.Environ())
		}
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

func namesFarm(args []string) bool {
	return slices.Contains(args, "--executor="+build.FarmExecutor) ||
		slices.Index(args, "--executor") >= 0 && slices.Contains(args, build.FarmExecutor)
}
