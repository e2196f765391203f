// Command pkgtool defines, builds, signs, publishes, installs and updates an
// enterprise-server Linux from source.
package main

import (
	"os"

	"ashlar/pkgtool/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
