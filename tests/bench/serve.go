package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Goals of the server, as ratios to nginx on the same files in the same run.
const (
	goalRequests = ">= 0.50 of nginx's requests/s, 0 errors"
	goalBytes    = ">= 0.90 of nginx's bytes/s, 0 errors"
	goalMemory   = "<= 100 MiB"
	goalPublish  = ">= 0.80 of the rate without"
	cellTime     = 1500 * time.Millisecond // each server gets this twice for each cell, in turn
	cellRounds   = 2
	idleNumber   = 10000
)

// serveSizes are the files that are asked for. Their names are as in a pool.
var serveSizes = []struct {
	name string
	size int64
}{{"1 KiB", 1 << 10}, {"1 MiB", 1 << 20}, {"10 MiB", 10 << 20}, {"100 MiB", 100 << 20}}

// serve compares the server with nginx.
func (b *bench) serve(ctx context.Context) (err error) {
	dir, err := b.mount(ctx, memory)
	if err != nil {
		return err
	}
	defer clear(dir)
	repo := filepath.Join(dir, "repo")
	if err := b.serveTree(ctx, dir, repo); err != nil {
		return err
	}
	servers, stop, err := b.startServers(ctx, dir, repo)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	for _, s := range serveSizes {
		for _, connections := range []int{1, 50, 500, 5000} {
			if err := b.serveCell(ctx, dir, servers, "http", s.name, poolPath(s.size), s.size, connections); err != nil {
				return err
			}
		}
	}
	for _, s := range serveSizes[:3] {
		if err := b.serveCell(ctx, dir, servers, "https", s.name, poolPath(s.size), s.size, 50); err != nil {
			return err
		}
	}
	if err := b.servePublishing(ctx, dir, repo, servers); err != nil {
		return err
	}
	return b.serveIdle(ctx, servers)
}

func poolPath(size int64) string {
	return fmt.Sprintf("/pool/b/bench/%016x.bench-1.0.0-1.noarch.ashlar", size)
}

// serveTree makes a repository with one real package, and files of the sizes.
func (b *bench) serveTree(ctx context.Context, dir, repo string) error {
	os.Setenv("ASHLAR_KEYS", filepath.Join(dir, "keys"))
	if err := makeFiles(dir, map[string]string{"tree/etc/motd": "welcome\n"}); err != nil {
		return err
	}
	if err := b.packageFor(ctx, dir, "first"); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"repo", "init", repo, "--name", "bench"},
		{"repo", "add", "--publish", repo, filepath.Join(dir, "first-1.0.0-1.noarch.ashlar")},
	} {
		if err := command(ctx, b.pkgtool, args...); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(repo, "pool/b/bench"), 0o755); err != nil {
		return err
	}
	for _, s := range serveSizes {
		if err := os.WriteFile(filepath.Join(repo, poolPath(s.size)), noise(s.size), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) packageFor(ctx context.Context, dir, name string) error {
	description := filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf("schema: 1\nname: %s\nversion: 1.0.0\nsummary: %s\ndate: 2026-01-31\n", name, name)
	if err := os.WriteFile(description, []byte(text), 0o644); err != nil {
		return err
	}
	return command(ctx, b.pkgtool, "pkg", "create", filepath.Join(dir, "tree"), "--description", description,
		"--output", filepath.Join(dir, name+"-1.0.0-1.noarch.ashlar"))
}

// noise is what does not compress; its content does not matter.
func noise(size int64) []byte {
	data := make([]byte, size)
	x := uint64(size) | 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x)
	}
	return data
}

// serveCell measures all servers, in turn, with one file and one number of connections.
func (b *bench) serveCell(ctx context.Context, dir string, servers []*webServer, scheme, what, path string, size int64, connections int) error {
	loads := make([]load, len(servers))
	for range cellRounds {
		for i, s := range servers {
			one, err := s.load(ctx, dir, scheme, path, connections, cellTime)
			if err != nil {
				return err
			}
			loads[i].add(one)
		}
	}
	ours, theirs := loads[0], loads[1]
	goal, ratio := goalBytes, ours.bytesPerSecond()/theirs.bytesPerSecond()
	if size < 1<<20 {
		goal, ratio = goalRequests, ours.requestsPerSecond()/theirs.requestsPerSecond()
	}
	if scheme == "https" {
		goal = ""
	}
	b.fact("serve", fmt.Sprintf("%s %s, %d connections", scheme, what, connections), goal, "%.2f | pkgtool %s | nginx %s", ratio, ours.text(), theirs.text())
	if connections == 5000 && size < 1<<20 {
		b.fact("serve", "memory with 5000 connections", goalMemory, "pkgtool %.0f MiB, nginx %.0f MiB", mib(ours.memory), mib(theirs.memory))
	}
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// servePublishing compares the rate of 1 MiB files without and with a publisher
// who adds one package to the repository meanwhile.
func (b *bench) servePublishing(ctx context.Context, dir, repo string, servers []*webServer) error {
	const duration = 3 * time.Second
	for i, s := range servers {
		name := fmt.Sprintf("more%d", i)
		if err := b.packageFor(ctx, dir, name); err != nil {
			return err
		}
		before, err := s.load(ctx, dir, "http", poolPath(1<<20), 50, duration)
		if err != nil {
			return err
		}
		published := make(chan error, 1)
		go func() {
			published <- command(ctx, b.pkgtool, "repo", "add", "--publish", repo, filepath.Join(dir, name+"-1.0.0-1.noarch.ashlar"))
		}()
		during, err := s.load(ctx, dir, "http", poolPath(1<<20), 50, duration)
		if err := errors.Join(err, <-published); err != nil {
			return err
		}
		b.fact("serve", "1 MiB during a publication, "+s.name, goalPublish, "%.2f, %d errors", during.bytesPerSecond()/before.bytesPerSecond(), during.errors)
	}
	return nil
}

// serveIdle opens connections that each ask once and then wait.
func (b *bench) serveIdle(ctx context.Context, servers []*webServer) error {
	for _, s := range servers {
		empty := s.memory()
		open, err := openIdle(ctx, s.addresses["http"], idleNumber)
		full := s.memory()
		for _, c := range open {
			c.Close()
		}
		if err != nil {
			return fmt.Errorf("%s: %d connections open: %w", s.name, len(open), err)
		}
		b.fact("serve", fmt.Sprintf("%d idle connections, %s", idleNumber, s.name), "", "%.0f MiB, before %.0f MiB", mib(full), mib(empty))
	}
	return nil
}
