// Command pkgtool-buildkit is pkgtool with the libraries that a farm of BuildKit
// daemons needs, and what runs in the daemons' containers. Nobody has to call
// it: pkgtool does for `build --executor buildkit`.
package main

import (
	"os"

	_ "ashlar/pkgtool/build/buildkit" // --executor buildkit
	"ashlar/pkgtool/build/buildkit/inside"
	"ashlar/pkgtool/build/elsewhere"
	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/cli"
)

func main() {
	inside.MaybeRun()   // does not return in pid 1 of a farm's container
	sandbox.MaybeInit() // nor in that of a build here
	elsewhere.MaybeEnter()
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
