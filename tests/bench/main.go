package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ashlar/tests/bench/data"
	"ashlar/tests/bench/measure"
)

// benchmark is one group of measurements.
type benchmark struct {
	name, what string
	run        func(context.Context, *bench) error
}

// groups are the benchmarks in the order in which they run.
var groups = []benchmark{
	{"install", "install into an empty root, on tmpfs", func(ctx context.Context, b *bench) error { return b.install(ctx, memory) }},
	{"install-ext4", "the same on ext4 through a loop device, flush counted", func(ctx context.Context, b *bench) error { return b.install(ctx, disk) }},
	{"upgrade", "upgrade 14 packages and roll back, on tmpfs", func(ctx context.Context, b *bench) error { return b.upgrade(ctx, memory) }},
	{"upgrade-ext4", "the same on ext4, flush counted", func(ctx context.Context, b *bench) error { return b.upgrade(ctx, disk) }},
	{"query", "questions about an installed system, and its verification", func(ctx context.Context, b *bench) error { return b.query(ctx) }},
	{"download", "what an upgrade transfers from a plain static server", func(ctx context.Context, b *bench) error { return b.download(ctx) }},
	{"serve", "the server beside nginx: throughput, memory, many connections", func(ctx context.Context, b *bench) error { return b.serve(ctx) }},
	{"index", "make a repository of real and of 30,000 small packages, and add one more", func(ctx context.Context, b *bench) error { return b.index(ctx) }},
	{"fleet", "10,000 clients that update from one server", func(ctx context.Context, b *bench) error { return b.fleet(ctx) }},
	{"build", "build 300 recipes with nothing to do, and real ones on all cores", func(ctx context.Context, b *bench) error { return b.build(ctx) }},
	{"sandbox", "start sandboxes", func(ctx context.Context, b *bench) error { return b.startSandbox(ctx) }},
	{"pack", "make packages of files", func(ctx context.Context, b *bench) error { return b.pack(ctx) }},
	{"assemble", "make the ISO of a built image from its packages", func(ctx context.Context, b *bench) error { return b.assemble(ctx) }},
	{"search", "search in all packages of Debian", func(ctx context.Context, b *bench) error { return b.search(ctx) }},
	{"solver", "Debian's whole universe: verdicts and times of solvers", func(ctx context.Context, b *bench) error { return b.solver(ctx) }},
}

// bench is one run of the benchmarks.
type bench struct {
	pkgtool  string
	dataDir  string
	images   string
	rounds   int
	requests int
	report   *measure.Report

	dataset *data.Dataset // see data
	mounts  []string
}

func main() {
	measure.Watcher()
	sandboxCalls()
	assembleCalls()
	b := &bench{report: &measure.Report{Schema: 1, Time: time.Now().UTC().Truncate(time.Second), Machine: measure.ThisMachine(),
		Tools: map[string]string{}, Data: map[string]any{}}}
	flag.StringVar(&b.pkgtool, "pkgtool", "build/pkgtool", "the program to measure")
	flag.StringVar(&b.dataDir, "data", "build/bench-data", "folder of what is measured with; made if it is not there")
	flag.StringVar(&b.images, "images", "build", "folder of built images and their packages")
	flag.IntVar(&b.rounds, "rounds", 5, "how often each program is run")
	flag.IntVar(&b.requests, "requests", 300, "how many install requests the solvers get")
	out := flag.String("out", "build/bench/results.json", "file for the results as JSON")
	flag.Usage = usage
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := b.run(ctx, flag.Args())
	stop()
	if len(b.report.Results)+len(b.report.Facts) > 0 {
		b.report.Write(os.Stdout)
		err = errors.Join(err, b.report.Save(*out))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintf(os.Stderr, "usage: bench [flags] [GROUP...]\n\ngroups:\n")
	for _, g := range groups {
		fmt.Fprintf(os.Stderr, "  %-13s %s\n", g.name, g.what)
	}
	fmt.Fprintf(os.Stderr, "\nflags:\n")
	flag.PrintDefaults()
}

// run runs the wanted groups, or all.
func (b *bench) run(ctx context.Context, wanted []string) (err error) {
	for _, name := range wanted {
		if !slices.ContainsFunc(groups, func(g benchmark) bool { return g.name == name }) {
			usage()
			return fmt.Errorf("there is no group %q", name)
		}
	}
	if b.pkgtool, err = filepath.Abs(b.pkgtool); err != nil {
		return err
	}
	if b.dataDir, err = filepath.Abs(b.dataDir); err != nil {
		return err
	}
	if err := b.needTools(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.unmount()) }()
	var failed []error
	for _, g := range groups {
		if len(wanted) > 0 && !slices.Contains(wanted, g.name) {
			continue
		}
		start := time.Now()
		// One group that fails does not take the others' results away.
		if err := g.run(ctx, b); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", g.name, err))
		}
		b.say("%s took %.0f s", g.name, time.Since(start).Seconds())
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// data makes or opens the dataset.
func (b *bench) data(ctx context.Context) (*data.Dataset, error) {
	if b.dataset != nil {
		return b.dataset, nil
	}
	d, err := data.Make(ctx, "tests/bench/data/packages.lock", filepath.Join(b.dataDir, "server"), b.say)
	if err != nil {
		return nil, err
	}
	for _, set := range []string{data.Base, data.Upgrade, data.Filler} {
		t := d.Total(set)
		b.report.Data[set] = map[string]any{"packages": len(d.Packages[set]), "files": t.Files, "paths": t.Paths, "bytes": t.Size, "changed": t.Changed, "package_bytes": t.Bytes}
	}
	b.dataset = d
	return d, nil
}

// group measures cases and adds the results to the report.
func (b *bench) group(ctx context.Context, name string, cases []measure.Case) error {
	results, err := measure.Group(ctx, name, b.rounds, cases, b.say)
	b.report.Results = append(b.report.Results, results...)
	return err
}

func (b *bench) fact(group, name, goal, format string, args ...any) {
	b.report.Facts = append(b.report.Facts, measure.Fact{Group: group, Name: name, Goal: goal, Value: fmt.Sprintf(format, args...)})
}

// tools are the programs that pkgtool is compared with, how each tells its
// version, and the Debian package that has it.
var tools = []struct {
	program, option, debian string
}{
	{"tar", "--version", "tar"},
	{"zstd", "--version", "zstd"},
	{"dpkg", "--version", "dpkg"},
	{"rpm", "--version", "rpm"},
	{"rpmbuild", "--version", "rpm"},
	{"pacman", "--version", "pacman-package-manager"},
	{"bsdtar", "--version", "libarchive-tools"},
	{"mkfs.ext4", "-V", "e2fsprogs"},
	{"losetup", "--version", "mount"},
	{"apt-get", "--version", "apt"},
	{"createrepo_c", "--version", "createrepo-c"},
	{"apt-ftparchive", "--version", "apt-utils"},
	{"repo-add", "--version", "makepkg"},
	{"dose-debcheck", "--version", "dose-distcheck"},
	{"nginx", "-v", "nginx-light"},
	{"wrk", "--version", "wrk"},
	{"testsolv", "", "libsolv-tools"},
	{"deb2solv", "", "libsolv-tools"},
}

// needTools notes the versions of the tools, and fails naming all that are missing.
func (b *bench) needTools() error {
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, t.debian)
			continue
		}
		if t.option != "" {
			out, _ := exec.Command(t.program, t.option).CombinedOutput()
			line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			b.report.Tools[t.program] = strings.TrimSpace(strings.Trim(line, "*"))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("missing tools; install them with: pkgtool/bootstrap.sh bench (Debian packages: %s)", strings.Join(slices.Compact(missing), " "))
	}
	return nil
}
