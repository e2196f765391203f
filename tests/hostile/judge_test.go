package hostile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/cli"
	"ashlar/signing"
)

// Bounds of one command on one bad input.
const (
	maxTime   = 10 * time.Second
	maxMemory = 256 << 20 // bytes resident
)

// TestMain is also pkgtool itself, so that each bad input meets a process of its
// own, whose memory can be told. It reports its peak in the file named by
// HOSTILE_PEAK.
func TestMain(m *testing.M) {
	sandbox.MaybeInit() // does not return in pid 1 of a sandbox
	peak := os.Getenv("HOSTILE_PEAK")
	if peak == "" {
		os.Exit(m.Run())
	}
	code := cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	status, _ := os.ReadFile("/proc/self/status")
	os.WriteFile(peak, status, 0o600)
	os.Exit(code)
}

// world is a folder with a system in root, and what nobody may touch in outside.
type world struct {
	t       testing.TB
	dir     string
	root    string
	outside string
	key     *signing.PrivateKey
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, dir: dir, root: filepath.Join(dir, "root"), outside: filepath.Join(dir, "outside")}
	var err error
	if w.key, err = signing.Generate("Trusted Packager", "", time.Unix(epoch-1000, 0)); err != nil {
		t.Fatal(err)
	}
	w.must(os.WriteFile(filepath.Join(dir, "trusted.asc"), w.key.Public().Armored(), 0o600))
	w.must(os.MkdirAll(filepath.Join(w.outside, "folder"), 0o755))
	w.must(os.WriteFile(filepath.Join(w.outside, "secret"), []byte("secret\n"), 0o600))
	w.must(os.WriteFile(filepath.Join(w.outside, "folder/x"), []byte("precious\n"), 0o640))
	w.must(os.Symlink("secret", filepath.Join(w.outside, "link")))
	w.must(os.Mkdir(w.root, 0o755))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// base installs a package that owns something.
func (w *world) base() *world {
	w.t.Helper()
	w.install(&pkg{name: "base", version: "1.0.0", members: []member{
		dir("etc"), file("etc/base.conf", "ours\n").claims("config", true), dir("usr"), dir("usr/bin"), file("usr/bin/base", "base\n")}})
	return w
}

// write puts a package file beside the root.
func (w *world) write(content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, "p.ashlar")
	w.must(os.WriteFile(path, content, 0o600))
	return path
}

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
	took           time.Duration
	memory         int64 // bytes, at the peak
}

// pkgtool runs the command line in a process of its own, on the root.
func (w *world) pkgtool(args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*maxTime)
	defer cancel()
	peak := filepath.Join(w.dir, "peak")
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"--root", w.root}, args...)...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "HOSTILE_PEAK="+peak, "HOME="+filepath.Join(w.dir, "home"), "ASHLAR_KEYS="+filepath.Join(w.dir, "keys"),
		"ASHLAR_CACHE="+filepath.Join(w.dir, "cache"), "NO_COLOR=1", "LC_ALL=C.UTF-8")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(start), code: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		w.t.Fatalf("pkgtool %v does not end: %v", args, err)
	}
	w.quiet(peak)
	status, err := os.ReadFile(peak)
	w.must(err)
	if _, line, found := strings.Cut(string(status), "VmHWM:"); found {
		fmt.Sscan(line, &r.memory)
		r.memory <<= 10
	}
	return r
}

// quiet waits for what the command left running in the background to clean up.
func (w *world) quiet(peak string) {
	w.t.Helper()
	for deadline := time.Now().Add(maxTime); ; time.Sleep(5 * time.Millisecond) {
		environments, err := filepath.Glob("/proc/[0-9]*/environ")
		w.must(err)
		if !slices.ContainsFunc(environments, func(path string) bool {
			environment, _ := os.ReadFile(path)
			return bytes.Contains(environment, []byte("HOSTILE_PEAK="+peak+"\x00"))
		}) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatal("something still runs in the background")
		}
	}
}

// install installs a package; it must succeed.
func (w *world) install(p *pkg) {
	w.t.Helper()
	if r := w.try(p); r.code != 0 {
		w.t.Fatalf("install %s: exit code %d\n%s%s", p.name, r.code, r.stdout, r.stderr)
	}
}

// try gives a package to install.
func (w *world) try(p *pkg) result {
	w.t.Helper()
	return w.pkgtool("install", "--yes", "--trust", "trusted.asc", w.write(p.bytes(w.t, w.key)))
}

// refused asks that a command ended as a refusal must: with this exit code, for
// this reason, within the bounds, and with a message fit for a terminal.
func (w *world) refused(r result, code int, reason string) {
	w.t.Helper()
	switch text := r.stdout + r.stderr; {
	case r.code != code:
		w.t.Errorf("exit code %d instead of %d:\n%.2000s", r.code, code, text)
	case !strings.Contains(text, reason):
		w.t.Errorf("refused for another reason than %q: %.2000q", reason, text)
	}
	w.bounded(r)
}

// bounded asks for the bounds of time, memory and text that hold for everything.
func (w *world) bounded(r result) {
	w.t.Helper()
	if r.took > maxTime {
		w.t.Errorf("took %v", r.took)
	}
	if r.memory == 0 || r.memory > maxMemory {
		w.t.Errorf("took %d MiB of memory", r.memory>>20)
	}
	for _, text := range []string{r.stdout, r.stderr} {
		if i := strings.IndexFunc(text, func(c rune) bool {
			return c != '\n' && c != '\t' && !unicode.IsPrint(c) || c == unicode.ReplacementChar
		}); i >= 0 || len(text) > 50_000 {
			w.t.Errorf("not fit for a terminal at %d of %d: %.300q", i, len(text), text[max(i-100, 0):])
		}
	}
}

// tree describes everything in a folder: names, types, modes, owners, times and
// contents, a line each. Of our own records the times of folders are left out,
// and the lock, which every command takes.
func tree(t testing.TB, root string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == ".ashlar/lock" {
			return nil
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%q %v %d:%d", rel, info.Mode(), stat.Uid, stat.Gid)
		if rel != "." && !(d.IsDir() && strings.HasPrefix(rel, ".ashlar")) {
			line += fmt.Sprint(" ", info.ModTime().UnixNano())
		}
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s := sha256.Sum256(content)
			line += " " + hex.EncodeToString(s[:])
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" -> %q", target)
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// untouched runs do and asks that nothing in the folders changed.
func (w *world) untouched(folders []string, do func()) {
	w.t.Helper()
	var before [][]string
	for _, folder := range folders {
		before = append(before, tree(w.t, folder))
	}
	do()
	for i, folder := range folders {
		after := tree(w.t, folder)
		for _, line := range after {
			if !slices.Contains(before[i], line) {
				w.t.Errorf("in %s there is now %s", filepath.Base(folder), line)
			}
		}
		for _, line := range before[i] {
			if !slices.Contains(after, line) {
				w.t.Errorf("in %s there is no more %s", filepath.Base(folder), line)
			}
		}
	}
}

// untouchedSince asks that the root is what it was.
func (w *world) untouchedSince(before []string) {
	w.t.Helper()
	if after := tree(w.t, w.root); !slices.Equal(before, after) {
		w.t.Errorf("the root changed:\n%s\nwas\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
}
