package attack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"ashlar/repo/trust"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sys/unix"
)

// Bounds of one command, whatever the mirrors do.
const (
	maxTime   = 40 * time.Second
	maxMemory = 256 << 20 // bytes resident
	maxText   = 50_000    // bytes on the terminal
	maxCache  = 8 << 20   // bytes below the cache folder
)

// Exit codes (docs/administration.md).
const (
	done     = 0
	failed   = 1
	usage    = 2
	refused  = 4
	network  = 5
	heldBack = 6
	stale    = 8
)

// bounded asks for the bounds that hold for everything: time, memory, text fit
// for a terminal, no trace of a panic, nothing left in the temporary folder.
func (w *world) bounded(r result) {
	w.t.Helper()
	if r.took > maxTime {
		w.t.Errorf("took %v: %s", r.took, r)
	}
	if r.memory == 0 || r.memory > maxMemory {
		w.t.Errorf("took %d MiB of memory: %s", r.memory>>20, r)
	}
	for _, text := range []string{r.stdout, r.stderr} {
		if i := strings.IndexFunc(text, func(c rune) bool {
			return c != '\n' && c != '\t' && !unicode.IsPrint(c) || c == unicode.ReplacementChar
		}); i >= 0 || len(text) > maxText {
			w.t.Errorf("not fit for a terminal at %d of %d: %.300q", i, len(text), text[max(i-100, 0):])
		}
		if strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
			w.t.Errorf("a panic: %s", text)
		}
	}
	if r.code < 0 {
		w.t.Errorf("killed: %s", r)
	}
	if left, err := os.ReadDir(w.temporary()); err != nil || len(left) > 0 {
		w.t.Errorf("in the temporary folder: %v %v", left, err)
	}
	w.cacheIsRight()
}

// cacheIsRight asks that the cache is small and holds nothing but what is named
// by its content, or is a part of such.
func (w *world) cacheIsRight() {
	w.t.Helper()
	var total int64
	err := filepath.WalkDir(w.in("var/cache/pkgtool"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		if filepath.Base(filepath.Dir(path)) == "objects" && d.Name() != ".keep" {
			data, err := os.ReadFile(path)
			if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != d.Name() {
				w.t.Errorf("%s holds something else: %v", path, err)
			}
		}
		return nil
	})
	if err != nil || total > maxCache {
		w.t.Errorf("%d bytes in the cache, %v", total, err)
	}
}

// tree describes everything in the system but what a refresh may change: names,
// types, modes, owners, times, extended attributes and contents, a line each. Of
// the program's own records the times of folders are left out.
func (w *world) tree() []string {
	w.t.Helper()
	var lines []string
	err := filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(w.root, path)
		switch rel {
		case "var/cache/pkgtool", "var/lib/pkgtool/repositories":
			return fs.SkipDir
		case "etc/pkgtool/repositories.d/test.yaml", ".ashlar/lock":
			return nil
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%q %v %d:%d %s", rel, info.Mode(), stat.Uid, stat.Gid, attributes(path))
		if rel != "." && rel != "etc/pkgtool/repositories.d" && !(d.IsDir() && (rel == ".ashlar" || strings.HasPrefix(rel, ".ashlar/"))) {
			line += fmt.Sprint(" ", info.ModTime().UnixNano())
		}
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(content)
			line += " " + hex.EncodeToString(sum[:])
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
	w.must(err)
	return lines
}

// attributes are the extended ones of a file.
func attributes(path string) string {
	buffer := make([]byte, 4096)
	n, err := unix.Llistxattr(path, buffer)
	if err != nil || n == 0 {
		return ""
	}
	var text strings.Builder
	for name := range bytes.SplitSeq(bytes.TrimSuffix(buffer[:n], []byte{0}), []byte{0}) {
		value := make([]byte, 4096)
		n, _ := unix.Lgetxattr(path, string(name), value)
		fmt.Fprintf(&text, "%s=%x ", name, value[:max(n, 0)])
	}
	return text.String()
}

// untouched runs do and asks that nothing in the system changed.
func (w *world) untouched(do func() result) result {
	w.t.Helper()
	before, known := w.tree(), w.remembered()
	r := do()
	after := w.tree()
	for _, line := range after {
		if !slices.Contains(before, line) {
			w.t.Errorf("there is now %s", line)
		}
	}
	for _, line := range before {
		if !slices.Contains(after, line) {
			w.t.Errorf("there is no more %s", line)
		}
	}
	w.neverBack(known)
	return r
}

// remembered is what the system remembers of the repository.
func (w *world) remembered() trust.State {
	w.t.Helper()
	var s trust.State
	data, err := os.ReadFile(w.in("var/lib/pkgtool/repositories/test/trusted.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	w.must(err)
	w.must(json.Unmarshal(data, &s))
	return s
}

// neverBack asks that what is remembered is genuine, and no older than before.
func (w *world) neverBack(before trust.State) {
	w.t.Helper()
	now := w.remembered()
	for name, data := range map[string][]byte{"root": now.Root, "timestamp": now.Timestamp, "snapshot": now.Snapshot, "targets": now.Targets} {
		if data != nil && !w.isGenuine(data) {
			w.t.Errorf("it remembers %s metadata that is not genuine: %.500s", name, data)
		}
	}
	if now.Timestamp == nil && !bytes.Equal(now.Root, before.Root) {
		return // new keys for the timestamp: counters begin anew
	}
	if is, was := versionOf(now.Timestamp), versionOf(before.Timestamp); is < was {
		w.t.Errorf("it went back from version %d to %d", was, is)
	}
}

func versionOf(data []byte) int64 {
	m, err := metadata.Timestamp().FromBytes(data)
	if err != nil {
		return 0
	}
	return m.Signed.Version
}

// isGenuine reports whether the publisher signed these bytes.
func (w *world) isGenuine(data []byte) bool {
	if w.genuine == nil {
		w.genuine = map[string]bool{}
		for _, dir := range []string{w.older, w.seen, w.present} {
			w.vouch(dir)
		}
	}
	return w.genuine[string(data)]
}

// vouch says that the metadata of a state is validly signed, though perhaps with
// stolen keys: a client cannot but believe it.
func (w *world) vouch(dir string) {
	w.t.Helper()
	if w.genuine == nil {
		w.isGenuine(nil)
	}
	files, err := filepath.Glob(filepath.Join(dir, "metadata", "*.json"))
	w.must(err)
	for _, f := range files {
		w.genuine[string(w.read(f))] = true
	}
}

// ended asks for an exit code and for texts in the message.
func (w *world) ended(r result, code int, texts ...string) {
	w.t.Helper()
	if r.code != code {
		w.t.Errorf("exit code %d instead of %d: %s", r.code, code, r)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			w.t.Errorf("%q is not in the message of %s", text, r)
		}
	}
}

// linesWith are the lines of a message in which all texts occur.
func linesWith(message string, texts ...string) (lines []string) {
	for line := range strings.SplitSeq(message, "\n") {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

// named asks that a message names a mirror with what it did, once.
func (w *world) named(r result, url string, e evil) {
	w.t.Helper()
	lines := linesWith(r.stderr, url)
	kind := e.kind
	if kind == anySecurity && slices.ContainsFunc(securityKinds, func(k string) bool { return len(linesWith(r.stderr, url, ": "+k+": ")) == 1 }) {
		kind = ""
	}
	if len(lines) != 1 || !strings.Contains(lines[0], "repository test: ") || !strings.Contains(lines[0], kind) || !strings.Contains(lines[0], e.file) || !strings.Contains(lines[0], e.says) {
		w.t.Errorf("%s: want one line with %s, %q, %q and %q, got %q\nof %s", e.name, url, e.kind, e.file, e.says, lines, r)
	}
}

// installed asks that the system has the present app, as it was packaged.
func (w *world) installed() {
	w.t.Helper()
	if data, err := os.ReadFile(w.in("usr/share/app/data")); err != nil || string(data) != newContent {
		w.t.Errorf("the app is not what was published: %d bytes, %v", len(data), err)
	}
}
