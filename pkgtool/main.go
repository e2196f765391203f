// Command pkgtool defines, builds, signs, publishes, installs and updates an
// enterprise-server Linux from source.
package main

import (
	"os"

	"ashlar/pkgtool/build/elsewhere"
	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/cli"
)

func main() {
	sandbox.MaybeInit() // does not return in pid 1 of a build
	elsewhere.MaybeEnter()
	handOver() // does not return where pkgtool-objects does the work
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
