// Command dataset makes the packages and repositories that the benchmarks
// measure with.
//
//	go run ./tests/bench/dataset [-out build/bench-data/server]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"ashlar/tests/bench/data"
)

func main() {
	out := flag.String("out", "build/bench-data/server", "folder to make")
	lock := flag.String("lock", "tests/bench/data/packages.lock", "pinned packages")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	d, err := data.Make(ctx, *lock, *out, func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "dataset: "+format+"\n", args...)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "dataset:", err)
		os.Exit(1)
	}
	for _, set := range []string{data.Base, data.Upgrade, data.Filler} {
		t := d.Total(set)
		fmt.Printf("%-8s %5d packages %7d files %8.1f MB", set, len(d.Packages[set]), t.Files, float64(t.Size)/1e6)
		for _, format := range data.Formats {
			fmt.Printf("  %s %.1f", format, float64(t.Bytes[format])/1e6)
		}
		fmt.Println()
	}
}
