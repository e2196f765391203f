// The command kernel-config is the flavour checker for a build sandbox: one
// static program that holds the fragments and rules. The kernel's recipe runs
//
//	kernel-config base FLAVOUR      the make target that answers what no fragment says
//	kernel-config config FLAVOUR    merged .config text on stdout
//	kernel-config check FLAVOUR --config FILE [--source DIR]   exit code 1 when a promise is broken
//
// --fragment FILE puts a user's own fragment on top; it can be given again.
//
// People use `pkgtool kernel`, which says more.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	kernelconfig "ashlar/kernel-config"
	"ashlar/kernel-config/kconfig"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "kernel-config: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: kernel-config base|config|check FLAVOUR [--fragment FILE] [--config FILE] [--source DIR]")
	}
	flags := flag.NewFlagSet("kernel-config", flag.ContinueOnError)
	file := flags.String("config", ".config", "the completed configuration")
	source := flags.String("source", "", "kernel source folder, to explain what is missing")
	var own []string
	flags.Func("fragment", "own fragment on top", func(name string) error { own = append(own, name); return nil })
	if err := flags.Parse(args[2:]); err != nil {
		return err
	}
	flavour, err := kernelconfig.Load(kernelconfig.Shipped(), args[1])
	if err != nil {
		return err
	}
	for _, name := range own {
		if err := flavour.Add(name); err != nil {
			return err
		}
	}
	switch args[0] {
	case "base":
		_, err := fmt.Fprintln(out, flavour.Base)
		return err
	case "config":
		_, err := out.Write(flavour.Merge())
		return err
	case "check":
		return check(flavour, *file, *source, out)
	}
	return fmt.Errorf("unknown command %q; the commands are base, config and check", args[0])
}

func check(flavour *kernelconfig.Flavour, file, source string, out io.Writer) error {
	config, err := kernelconfig.ReadConfig(file)
	if err != nil {
		return err
	}
	var tree *kconfig.Tree
	if source != "" {
		if tree, err = kernelconfig.ReadSource(source, flavour.Arch); err != nil {
			return err
		}
	}
	report, err := kernelconfig.Check(flavour, config, tree)
	if err != nil {
		return err
	}
	report.Write(out)
	return report.Err()
}
