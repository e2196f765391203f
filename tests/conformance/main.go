package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ashlar/repo/transport"
	"ashlar/repo/trust"
)

// call is what the suite asks for.
type call struct {
	metadataDir, metadataURL string
	targets                  names
	targetURL, targetDir     string

	limits transport.Limits
	http   *http.Client
}

type names []string

func (n *names) String() string     { return strings.Join(*n, " ") }
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c := &call{limits: transport.Limits{Attempts: 1}.OrDefault()}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.StringVar(&c.metadataDir, "metadata-dir", "", "where trusted metadata is kept")
	flags.StringVar(&c.metadataURL, "metadata-url", "", "where the repository's metadata is")
	flags.Var(&c.targets, "target-name", "target to download (repeatable)")
	flags.StringVar(&c.targetURL, "target-base-url", "", "where the repository's targets are")
	flags.StringVar(&c.targetDir, "target-dir", "", "where downloads are kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c.http = transport.NewHTTPClient(c.limits)
	defer c.http.CloseIdleConnections()
	switch rest := flags.Args(); {
	case len(rest) == 2 && rest[0] == "init":
		return c.initialise(rest[1])
	case len(rest) == 1 && rest[0] == "refresh":
		_, err := c.refresh(ctx)
		return err
	case len(rest) == 1 && rest[0] == "download":
		return c.download(ctx)
	}
	return fmt.Errorf("unknown command %q", flags.Args())
}

func (c *call) initialise(root string) error {
	data, err := os.ReadFile(root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.metadataDir, "root.json"), data, 0o644)
}

// refresh walks, and keeps what was verified even if the walk ended early.
func (c *call) refresh(ctx context.Context) (*trust.Walk, error) {
	source, err := transport.Open(c.metadataURL, c.http)
	if err != nil {
		return nil, err
	}
	now, err := clock()
	if err != nil {
		return nil, err
	}
	w := &trust.Walk{Limits: c.limits, Source: metadataOnly{source}, Now: now}
	files := map[string]*[]byte{"root": &w.Got.Root, "timestamp": &w.Got.Timestamp, "snapshot": &w.Got.Snapshot, "targets": &w.Got.Targets}
	for role, data := range files {
		if *data, err = os.ReadFile(c.kept(role)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	failure := w.Run(ctx)
	for role, data := range files {
		if *data == nil {
			err = os.RemoveAll(c.kept(role))
		} else {
			err = os.WriteFile(c.kept(role), *data, 0o644)
		}
		if err != nil {
			return nil, err
		}
	}
	if failure != nil {
		return nil, fmt.Errorf("%s: %w", w.File, failure)
	}
	return w, nil
}

func (c *call) kept(role string) string { return filepath.Join(c.metadataDir, escape(role)+".json") }

// clock asks a program of the C library: the suite changes its time, which does
// not reach programs in Go.
func clock() (time.Time, error) {
	out, err := exec.Command("date", "+%s").Output()
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return time.Unix(seconds, 0), err
}

// metadataOnly is a source whose folder metadata is all there is.
type metadataOnly struct{ transport.Source }

func (m metadataOnly) Get(ctx context.Context, path string, offset int64) (*transport.Answer, error) {
	return m.Source.Get(ctx, strings.TrimPrefix(path, "metadata/"), offset)
}
