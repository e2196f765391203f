// Command pkgtool-objects is pkgtool with the libraries for object storage.
// Nobody has to call it: pkgtool does where a command names s3:// or the like.
package main

import (
	"os"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/cli"
	_ "ashlar/repo/store/blob" // s3://, gs://, azblob://
)

func main() {
	sandbox.MaybeInit() // does not return in pid 1 of a build
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
