package system

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// spec describes a package's files, one per line:
//
//	file PATH MODE CONTENT | owned PATH OWNER | config PATH CONTENT | dir PATH MODE | symlink PATH TARGET | hardlink PATH TARGET
//
// A bar in the content of a configuration file stands for the end of a line.
type spec struct {
	name, version string
	files         string
}

// failer is what build needs of a testing.TB; the child of the crash test has
// none.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Context() context.Context
}

func build(t failer, s spec) *pkgfile.Package {
	t.Helper()
	m := pkgfile.Manifest{Format: 1, Name: s.name, Version: s.version, Release: 1, Arch: "noarch", Summary: "test", License: "MIT",
		Provenance: pkgfile.Provenance{Origin: "source", Epoch: 1700000000}}
	var inputs []pkgfile.Input
	for line := range strings.Lines(s.files) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 4)
		if len(words) < 2 {
			continue
		}
		in := pkgfile.Input{File: pkgfile.File{Path: words[1], Owner: "root", Group: "root", Mode: 0o644, Type: pkgfile.TypeFile}}
		content := ""
		switch words[0] {
		case "file":
			fmt.Sscanf(words[2], "%o", &in.Mode)
			content = words[3]
		case "owned":
			in.Owner = words[2]
		case "config":
			in.Config, content = true, strings.ReplaceAll(strings.Join(words[2:], " "), "|", "\n")
		case "dir":
			in.Type = pkgfile.TypeDir
			fmt.Sscanf(words[2], "%o", &in.Mode)
		case "symlink":
			in.Type, in.Mode, in.Target = pkgfile.TypeSymlink, 0o777, words[2]
		case "hardlink":
			in.File = pkgfile.File{Path: words[1], Type: pkgfile.TypeHardlink, Target: words[2]}
		default:
			t.Fatalf("line %q", line)
		}
		in.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
		inputs = append(inputs, in)
	}
	var buf bytes.Buffer
	if _, err := pkgfile.Write(context.Background(), &buf, m, inputs, pkgfile.Options{}); err != nil {
		t.Fatal(err)
	}
	p, err := pkgfile.Open(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// commitTime is when everything happens here.
var commitTime = time.Unix(1800000000, 0).UTC()

// open opens a system in the mode that the test is about.
func open(root string) (*System, error) {
	s, err := Open(root)
	if err == nil {
		s.inPlace = inPlaceOnly
	}
	return s, err
}

func commit(ctx context.Context, root string, change Change) (*Plan, error) {
	s, err := open(root)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	change.Time = commitTime
	p, err := s.Plan(ctx, change)
	if err != nil {
		return nil, err
	}
	return p, p.Commit(ctx, nil)
}

func install(t testing.TB, root string, specs ...spec) *Plan {
	t.Helper()
	var change Change
	for _, s := range specs {
		change.Add = append(change.Add, Addition{Package: build(t, s)})
	}
	p, err := commit(t.Context(), root, change)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// snapshot lists a tree with all that a transaction is responsible for. The
// lock file and the times of folders are not part of it.
func snapshot(t failer, root string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == "." || rel == lockPath {
			return nil
		}
		// What is kept for later has tests of its own.
		if rel == stateDir+"/store" || rel == treesDir {
			return fs.SkipDir
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%s %o %d:%d", rel, st.Mode, st.Uid, st.Gid)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		case d.Type().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if rel == identityPath { // Verify compares it
				lines = append(lines, line)
				return nil
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
			if !strings.HasPrefix(rel, stateDir) {
				line += fmt.Sprintf(" time %d", st.Mtim.Sec)
			}
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func content(t testing.TB, root, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if errors.Is(err, fs.ErrNotExist) {
		return "(missing)"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func put(t testing.TB, root, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

var base = spec{"filesystem", "1.0.0", `
	dir etc 0755
	dir usr 0755
	dir usr/bin 0755
	dir usr/lib 0755
	dir root 0700
	dir tmp 1777
	symlink bin usr/bin
	config etc/hosts 127.0.0.1 localhost
`}

func tool(version, text string) spec {
	return spec{"tool", version, `
	dir usr 0755
	dir usr/bin 0755
	file usr/bin/tool 4755 program ` + text + `
	hardlink usr/bin/tool-link usr/bin/tool
	symlink usr/bin/tool-` + version + ` tool
	file usr/share/tool/` + version + ` 0644 data
	config etc/tool.conf setting ` + text + `
`}
}

func verified(t failer, root string) {
	t.Helper()
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	problems, err := s.Verify(context.Background(), VerifyOptions{})
	if err != nil || len(problems) > 0 {
		t.Fatalf("verify: %v, %v", problems, err)
	}
}
