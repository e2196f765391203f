package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"ashlar/repo/serve"
	"ashlar/tests/bench/data"
)

// download counts what the upgrade of 14 packages transfers from a plain static
// server, with ranges and without.
func (b *bench) download(ctx context.Context) error {
	d, err := b.data(ctx)
	if err != nil {
		return err
	}
	dir, err := b.mount(ctx, memory)
	if err != nil {
		return err
	}
	defer clear(dir)
	system := filepath.Join(dir, "system")
	if err := b.installed(ctx, system); err != nil {
		return err
	}
	whole := d.Total(data.Upgrade).Bytes["ashlar"]
	for _, server := range []struct {
		name, goal string
		wrap       func(http.Handler) http.Handler
	}{
		{"from a server with ranges", "15 %", func(h http.Handler) http.Handler { return h }},
		{"from one that refuses ranges", "at most all, cleanly", withoutRanges},
	} {
		root := filepath.Join(dir, "root")
		if err := copyOf(ctx, system, root); err != nil {
			return err
		}
		sent, err := b.upgradeFrom(ctx, root, server.wrap)
		if err == nil {
			err = same(d.Tree(data.Upgrade), root)
		}
		if err != nil {
			b.fact("download", server.name, server.goal, "failed: %v", err)
			continue
		}
		b.fact("download", server.name, server.goal, "%.2f MB in %d requests, of which %.2f MB of packages = %.1f %% of the 14 packages' %.2f MB",
			mega(sent.all), sent.requests, mega(sent.packages), 100*float64(sent.packages)/float64(whole), mega(whole))
	}
	return nil
}

func mega(n int64) float64 { return float64(n) / 1e6 }

// transferred is what a server sent.
type transferred struct{ all, packages, requests int64 }

// upgradeFrom upgrades root from a server of its own and counts the bytes of
// the answers' bodies.
func (b *bench) upgradeFrom(ctx context.Context, root string, wrap func(http.Handler) http.Handler) (transferred, error) {
	files, err := serve.New(b.dataset.Repository(data.Upgrade), serve.Options{})
	if err != nil {
		return transferred{}, err
	}
	defer files.Close()
	var all, packages, requests atomic.Int64
	handler := wrap(files)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		c := &counter{ResponseWriter: w}
		handler.ServeHTTP(c, r)
		all.Add(c.n)
		if filepath.Ext(r.URL.Path) == ".ashlar" {
			packages.Add(c.n)
		}
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return transferred{}, err
	}
	go server.Serve(listener)
	defer server.Close()
	config := fmt.Sprintf("schema: 1\nname: %s\nurls: [http://%s]\n", data.RepositoryName, listener.Addr())
	if err := os.WriteFile(filepath.Join(root, "etc/pkgtool/repositories.d", data.RepositoryName+".yaml"), []byte(config), 0o644); err != nil {
		return transferred{}, err
	}
	args := b.ours(root, "upgrade", "--yes")
	err = command(ctx, args[0], args[1:]...)
	return transferred{all.Load(), packages.Load(), requests.Load()}, err
}

// counter counts the bytes of a body.
type counter struct {
	http.ResponseWriter
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// withoutRanges answers every request with the whole file, as servers may.
func withoutRanges(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		h.ServeHTTP(w, r)
	})
}
