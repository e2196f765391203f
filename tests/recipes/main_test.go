package recipes

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the answers in testdata anew")

// program is the pkgtool under test, seedFile the package that the seed is made
// of.
var program, seedFile string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	scratch, err := os.MkdirTemp("", "ashlar-recipes-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	program = filepath.Join(scratch, "pkgtool")
	build := exec.Command("go", "build", "-o", program, "ashlar/pkgtool")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build pkgtool: %v\n%s", err, out)
		return 1
	}
	seedFile = filepath.Join(scratch, "bash_1_amd64.deb")
	if err := writeSeed(seedFile); err != nil {
		fmt.Fprintf(os.Stderr, "make the seed: %v\n", err)
		return 1
	}
	return m.Run()
}
