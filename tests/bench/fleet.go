package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/tests/bench/data"
)

const (
	fleetClients = 10_000
	fleetAtOnce  = 300
	fleetUpdates = 3 // of ten clients; the others find nothing new
	fleetTime    = 200 * time.Second
)

// fleet lets 10,000 clients update from one server. The repository lists all
// packages of Debian and has those of the dataset; in the newest state 14 of
// these are new versions. What a client asks for is what the program asked for
// when it did the same, and asks for again while they do.
func (b *bench) fleet(ctx context.Context) (err error) {
	f := &fleet{bench: b, dir: filepath.Join(b.dataDir, "fleet")}
	if f.memory, err = b.mount(ctx, memory); err != nil {
		return err
	}
	defer clear(f.memory)
	defer remove(f.dir)
	if err := f.prepare(ctx); err != nil {
		return err
	}
	server, err := f.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	f.server = "http://" + server.addresses["http"]
	updating, err := f.record(ctx, "upgrade", "--yes")
	if err != nil {
		return err
	}
	nothing, err := f.record(ctx, "refresh")
	if err != nil {
		return err
	}
	if err := f.tell(updating, nothing); err != nil {
		return err
	}
	return f.rush(ctx, updating, nothing)
}

// fleet is the repository, and a system that knows it.
type fleet struct {
	*bench
	dir    string // of the repository
	memory string // a folder for systems
	system string // knows the state before the newest
	server string // its URL
}

func (f *fleet) repository() string { return filepath.Join(f.dir, "repo") }

// prepare publishes the older state, lets a system see it, and publishes the
// newest.
func (f *fleet) prepare(ctx context.Context) error {
	d, err := f.data(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(remove(f.dir), os.MkdirAll(f.dir, 0o755)); err != nil {
		return err
	}
	base := d.Repository(data.Base)
	// Files of the pool are never written again, so links do.
	if err := command(ctx, "sh", "-c", `mkdir "$2" && cp -al "$1/pool" "$2" && cd "$1" && find . -mindepth 1 -maxdepth 1 ! -name pool -exec cp -a {} "$2" \;`,
		"sh", base, f.repository()); err != nil {
		return err
	}
	r, err := repo.Open(f.repository(), repo.Options{Keys: d.Path("keys")})
	if err != nil {
		return err
	}
	if err := f.listDebian(ctx, r); err != nil {
		return err
	}
	f.system = filepath.Join(f.memory, "system")
	if err := f.installed(ctx, f.system); err != nil {
		return err
	}
	if err := f.runFrom(ctx, f.system, "file://"+f.repository(), "refresh"); err != nil {
		return err
	}
	files, err := d.Files(data.Upgrade, "ashlar")
	if err != nil {
		return err
	}
	if _, err := r.Add(ctx, repo.DefaultChannel, files...); err != nil {
		return err
	}
	_, err = r.Publish(ctx)
	return err
}

// listDebian publishes all packages of Debian beside those that are there.
func (f *fleet) listDebian(ctx context.Context, r *repo.Repository) error {
	a, err := f.archive(ctx)
	if err != nil {
		return err
	}
	lines, err := a.read()
	if err != nil {
		return err
	}
	listed, err := r.List()
	if err != nil {
		return err
	}
	var entries []index.Entry
	has := map[string]bool{}
	for _, l := range listed {
		entries = append(entries, l.Entry)
		has[l.Name] = true
	}
	for _, l := range lines {
		if !has[l.Name] {
			entries = append(entries, entryOf(l))
		}
	}
	if err := r.SetListed(ctx, repo.DefaultChannel, entries...); err != nil {
		return err
	}
	_, err = r.Publish(ctx)
	return err
}

// serve starts the server, as a process of its own.
func (f *fleet) serve(ctx context.Context) (*webServer, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &webServer{name: "pkgtool", addresses: map[string]string{"http": address}}
	s.process = exec.CommandContext(ctx, f.pkgtool, "repo", "serve", f.repository(), "--quiet", "--no-web", "--stop-timeout", "1s",
		"--max-connections", "20000", "--max-per-address", "20000", "--listen", "http://"+address)
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// record runs the program in a copy of the system and returns what it asked for.
func (f *fleet) record(ctx context.Context, args ...string) (trace, error) {
	folder, err := os.MkdirTemp(f.memory, "client-")
	if err != nil {
		return nil, err
	}
	defer remove(folder)
	root := filepath.Join(folder, "root")
	if err := copyOf(ctx, f.system, root); err != nil {
		return nil, err
	}
	if args[0] == "refresh" { // for the second time, so that nothing is new
		if err := f.runFrom(ctx, root, f.server, args...); err != nil {
			return nil, err
		}
	}
	r, err := newRecorder(f.server)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := f.runFrom(ctx, root, r.url(), args...); err != nil {
		return nil, err
	}
	return r.trace(), nil
}

// runFrom runs the program in a system whose repository is at url.
func (f *fleet) runFrom(ctx context.Context, root, url string, args ...string) error {
	config := fmt.Sprintf("schema: 1\nname: %s\nurls: [%s]\n", data.RepositoryName, url)
	if err := os.WriteFile(filepath.Join(root, "etc/pkgtool/repositories.d", data.RepositoryName+".yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	args = f.ours(root, args...)
	return command(ctx, args[0], args[1:]...)
}

// tell reports what one client needs.
func (f *fleet) tell(updating, nothing trace) error {
	var parts []string
	for _, kind := range []string{"metadata", "index", "pool"} {
		n, sum := updating.below("/" + kind + "/")
		whole, err := f.wholeFiles(updating, kind)
		if err != nil {
			return err
		}
		parts = append(parts, fmt.Sprintf("%s %.0f of %.0f KB in %d requests", kind, float64(sum)/1e3, float64(whole)/1e3, n))
	}
	n, sum := updating.below("/")
	f.fact("fleet", "one client that upgrades 14 packages", "", "%.2f MB in %d requests (of whole files: %s)", mega(sum), n, strings.Join(parts, ", "))
	n, sum = nothing.below("/")
	f.fact("fleet", "one client that finds nothing new", "<= 16 KB", "%.1f KB in %d requests", float64(sum)/1e3, n)
	return nil
}

// wholeFiles is the length of all files of a kind of which a client asked for some.
func (f *fleet) wholeFiles(t trace, kind string) (sum int64, err error) {
	seen := map[string]bool{}
	for _, r := range t {
		if seen[r.path] || r.status/100 != 2 || !strings.HasPrefix(r.path, "/"+kind+"/") {
			continue
		}
		seen[r.path] = true
		info, err := os.Stat(filepath.Join(f.repository(), filepath.FromSlash(r.path)))
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}

// rush lets all clients come, and the program itself among them.
func (f *fleet) rush(ctx context.Context, updating, nothing trace) error {
	ctx, cancel := context.WithTimeout(ctx, fleetTime)
	defer cancel()
	traces := make([]trace, fleetClients)
	for i := range traces {
		traces[i] = nothing
		if i%10 < fleetUpdates {
			traces[i] = updating
		}
	}
	over := make(chan struct{})
	among := make(chan error, 1)
	times := 0
	go func() {
		defer close(among)
		for {
			if err := errors.Join(f.again(ctx, updating, "upgrade", "--yes"), f.again(ctx, nothing, "refresh")); err != nil {
				among <- err
				return
			}
			times += 2
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	v := visit(ctx, f.server, traces, fleetAtOnce)
	close(over)
	err := <-among
	f.fact("fleet", "the program itself among them", "asks for the same", "%d times, %s", times, map[bool]string{true: "asked for the same", false: "asked for something else, or failed"}[err == nil])
	if len(v.failures) > 0 {
		err = errors.Join(err, fmt.Errorf("%d clients failed; the first: %w", len(v.failures), v.failures[0]))
	}
	if len(v.latencies) == 0 {
		return err
	}
	slices.Sort(v.latencies)
	at := func(part float64) float64 {
		return v.latencies[int(part*float64(len(v.latencies)-1))].Seconds() * 1e3
	}
	f.report.Data["fleet"] = map[string]any{"clients": fleetClients, "at_once": fleetAtOnce, "upgrading": fleetClients * fleetUpdates / 10,
		"seconds": v.took.Seconds(), "requests": len(v.latencies), "bytes": v.bytes, "errors": len(v.failures), "p50_ms": at(0.5), "p99_ms": at(0.99)}
	f.fact("fleet", fmt.Sprintf("%d clients, %d at once, %d of 10 upgrade", fleetClients, fleetAtOnce, fleetUpdates), "0 errors",
		"%.1f s, %d errors; %.0f requests/s, %.2f GB, %.0f MB/s; a request takes %.1f ms (median), %.0f ms (99 of 100)",
		v.took.Seconds(), len(v.failures), float64(len(v.latencies))/v.took.Seconds(), mega(v.bytes)/1e3, mega(v.bytes)/v.took.Seconds(), at(0.5), at(0.99))
	return err
}

// again runs the program once more and compares what it asks for.
func (f *fleet) again(ctx context.Context, want trace, args ...string) error {
	got, err := f.record(ctx, args...)
	if err == nil && !bytes.Equal(got.text(), want.text()) {
		err = fmt.Errorf("pkgtool %s asked for\n%s, the simulated clients for\n%s", args[0], got.text(), want.text())
	}
	return err
}
