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

func TestInstallUpgradeRemove(t *testing.T) {
	root := t.TempDir()
	install(t, root, base)
	before := snapshot(t, root)
	install(t, root, tool("1.0.0", "one"))
	verified(t, root)
	if got := content(t, root, "bin/tool-link"); got != "program one" {
		t.Errorf("tool-link: %q", got)
	}
	if info, err := os.Stat(filepath.Join(root, "usr/bin/tool")); err != nil || info.Mode()&fs.ModeSetuid == 0 || info.ModTime().Unix() != 1700000000 {
		t.Errorf("mode and time: %v, %v", info, err)
	}
	install(t, root, tool("2.0.0", "two"))
	verified(t, root)
	for path, want := range map[string]string{
		"usr/bin/tool": "program two", "usr/bin/tool-link": "program two", "etc/tool.conf": "setting two",
		"usr/share/tool/1.0.0": "(missing)", "usr/share/tool/2.0.0": "data", "usr/bin/tool-1.0.0": "(missing)",
	} {
		if got := content(t, root, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if _, err := commit(t.Context(), root, Change{Remove: []string{"tool"}, Reason: "remove tool"}); err != nil {
		t.Fatal(err)
	}
	verified(t, root)
	withoutState := func(s string) string {
		var kept []string
		for line := range strings.Lines(s) {
			if !strings.HasPrefix(line, stateDir) {
				kept = append(kept, strings.TrimSpace(line))
			}
		}
		return strings.Join(kept, "\n")
	}
	if got, want := withoutState(snapshot(t, root)), withoutState(before); got != want {
		t.Errorf("after removal\n%s\nwant\n%s", got, want)
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	history, err := s.History()
	if err != nil || len(history) != 4 || history[3].Reason != "remove tool" || len(s.Installed()) != 1 {
		t.Errorf("history %v, %v; installed %v", history, err, s.Installed())
	}
}

func TestConflictsChangeNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		disk  map[string]string
		specs []spec
		want  []string
	}{
		{"two packages, one path", nil, []spec{
			{"a", "1.0.0", "file usr/x 0644 a"}, {"b", "1.0.0", "file usr/x 0644 b"}},
			[]string{"usr/x belongs to both", "a and b"}},
		{"a path of an installed package", nil, []spec{{"b", "1.0.0", "file usr/bin/x/y 0644 b\nfile bin/z 0644 z"}},
			[]string{"bin/z of b lies below bin, which is a symlink of filesystem"}},
		{"folders that disagree", nil, []spec{{"b", "1.0.0", "dir root 0755\nfile root/x 0644 x"}},
			[]string{"folder root is 0755 root:root in b and 0700 root:root in filesystem"}},
		{"a foreign file", map[string]string{"usr/bin/tool": "mine"}, []spec{tool("1.0.0", "one")},
			[]string{"in the way", "usr/bin/tool (wanted by tool)"}},
		{"a foreign folder", map[string]string{"usr/bin/tool/x": "mine"}, []spec{tool("1.0.0", "one")},
			[]string{"usr/bin/tool (a folder)"}},
		{"a foreign file where a folder goes", map[string]string{"usr/share": "mine"}, []spec{tool("1.0.0", "one")},
			[]string{"usr/share is a file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			install(t, root, base)
			for path, text := range c.disk {
				put(t, root, path, text)
			}
			before := snapshot(t, root)
			var change Change
			for _, s := range c.specs {
				change.Add = append(change.Add, Addition{Package: build(t, s)})
			}
			_, err := commit(t.Context(), root, change)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if after := snapshot(t, root); after != before {
				t.Errorf("something changed:\n%s\nbefore\n%s", after, before)
			}
		})
	}
}

func TestIdenticalForeignFileIsTakenOver(t *testing.T) {
	root := t.TempDir()
	put(t, root, "usr/x", "same")
	install(t, root, spec{"a", "1.0.0", "file usr/x 0755 same"})
	verified(t, root)
}

func TestConfigFiles(t *testing.T) {
	pkg := func(version, text string) spec { return spec{"p", version, "config etc/p.conf " + text} }
	for _, c := range []struct {
		name       string
		edit       string // what is done to the file after the first install
		next       string // the second version's text; "" removes the package
		file, side string // afterwards
	}{
		{"unedited follows", "", "two", "two", "(missing)"},
		{"edited stays", "mine", "two", "mine", "two"},
		{"edited, package unchanged", "mine", "one", "mine", "(missing)"},
		{"edited to the new text", "two", "two", "two", "(missing)"},
		{"deleted stays deleted", "delete", "two", "(missing)", "two"},
		{"unedited goes with its package", "", "", "(missing)", "(missing)"},
		{"edited outlives its package", "mine", "", "mine", "(missing)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			install(t, root, pkg("1.0.0", "one"))
			switch c.edit {
			case "":
			case "delete":
				os.Remove(filepath.Join(root, "etc/p.conf"))
			default:
				put(t, root, "etc/p.conf", c.edit)
			}
			var p *Plan
			if c.next != "" {
				p = install(t, root, pkg("2.0.0", c.next))
			} else {
				var err error
				if p, err = commit(t.Context(), root, Change{Remove: []string{"p"}}); err != nil {
					t.Fatal(err)
				}
			}
			if got := content(t, root, "etc/p.conf"); got != c.file {
				t.Errorf("etc/p.conf is %q, want %q", got, c.file)
			}
			if got := content(t, root, "etc/p.conf.new"); got != c.side {
				t.Errorf("etc/p.conf.new is %q, want %q", got, c.side)
			}
			if told := len(p.Config) > 0; told != (c.side != "(missing)" || c.next == "" && c.edit != "") {
				t.Errorf("notes: %v", p.Config)
			}
		})
	}
	t.Run("a foreign one stays", func(t *testing.T) {
		root := t.TempDir()
		put(t, root, "etc/p.conf", "mine")
		install(t, root, pkg("1.0.0", "one"))
		if content(t, root, "etc/p.conf") != "mine" || content(t, root, "etc/p.conf.new") != "one" {
			t.Error("the administrator's file was not respected")
		}
	})
}

// A path may change its type from one version to the next, in every way.
func TestTypeChanges(t *testing.T) {
	kinds := map[string]string{
		"file":     "file p/x 0644 text",
		"symlink":  "symlink p/x elsewhere",
		"folder":   "dir p/x 0755\nfile p/x/inside 0644 text\ndir p/x/sub 0755\nfile p/x/sub/deep 0644 text",
		"implicit": "file p/x/inside 0644 other",
		"hardlink": "file p/a 0644 text\nhardlink p/x p/a",
		"nothing":  "file q 0644 q",
	}
	for from, before := range kinds {
		for to, after := range kinds {
			for _, where := range []string{"srv", "usr"} { // in place, and by exchange
				before, after := strings.ReplaceAll(before, " p/", " "+where+"/p/"), strings.ReplaceAll(after, " p/", " "+where+"/p/")
				t.Run(from+" to "+to+" in "+where, func(t *testing.T) {
					root, fresh := fastTempDir(t), fastTempDir(t)
					install(t, root, spec{"p", "1.0.0", before})
					install(t, root, spec{"p", "2.0.0", after})
					install(t, fresh, spec{"p", "2.0.0", after})
					verified(t, root)
					strip := func(s string) string {
						i := strings.LastIndex(s, stateDir)
						return s[i+strings.IndexByte(s[i:]+"\n", '\n'):]
					}
					if got, want := strip(snapshot(t, root)), strip(snapshot(t, fresh)); got != want {
						t.Errorf("got\n%s\nwant\n%s", got, want)
					}
				})
			}
		}
	}
}

func TestFolderWithForeignFilesIsNotTurned(t *testing.T) {
	root := t.TempDir()
	install(t, root, spec{"p", "1.0.0", "dir p/x 0755\nfile p/x/inside 0644 text"})
	put(t, root, "p/x/mine", "mine")
	_, err := commit(t.Context(), root, Change{Add: []Addition{{Package: build(t, spec{"p", "2.0.0", "symlink p/x elsewhere"})}}})
	if err == nil || !strings.Contains(err.Error(), "p/x/mine is in it") {
		t.Fatalf("got %v", err)
	}
	if content(t, root, "p/x/mine") != "mine" || content(t, root, "p/x/inside") != "text" {
		t.Error("something was lost")
	}
	// A removal leaves the folder to its new owner.
	if _, err := commit(t.Context(), root, Change{Remove: []string{"p"}}); err != nil {
		t.Fatal(err)
	}
	if content(t, root, "p/x/mine") != "mine" || content(t, root, "p/x/inside") != "(missing)" {
		t.Error("removal with a foreign file in the folder")
	}
}

// A folder that somebody replaced by a link must not lead a transaction out of
// the root, nor anywhere else.
func TestSymlinksAreNotFollowed(t *testing.T) {
	outside := t.TempDir()
	put(t, outside, "victim", "safe")
	for _, target := range []string{outside, "../" + filepath.Base(outside), "usr/bin"} {
		root := filepath.Join(t.TempDir(), "root")
		os.MkdirAll(root, 0o755)
		install(t, root, base)
		if err := os.Symlink(target, filepath.Join(root, "usr/share")); err != nil {
			t.Fatal(err)
		}
		_, err := commit(t.Context(), root, Change{Add: []Addition{{Package: build(t, tool("1.0.0", "one"))}}})
		if err == nil || !strings.Contains(err.Error(), "usr/share is a symbolic link") {
			t.Errorf("install through a link to %s: %v", target, err)
		}
	}
	// Removal with a folder replaced by a link removes nothing behind it.
	root := t.TempDir()
	install(t, root, base, spec{"p", "1.0.0", "file srv/victim 0644 text"})
	if err := errors.Join(os.RemoveAll(filepath.Join(root, "srv")), os.Symlink(outside, filepath.Join(root, "srv"))); err != nil {
		t.Fatal(err)
	}
	if _, err := commit(t.Context(), root, Change{Remove: []string{"p"}}); err != nil {
		t.Fatal(err)
	}
	if content(t, outside, "victim") != "safe" {
		t.Error("a file outside the root was removed")
	}
	// The state folder itself may not be a link.
	root = t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, stateDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := commit(t.Context(), root, Change{}); err == nil {
		t.Error("state behind a link was accepted")
	}
	if names, _ := os.ReadDir(outside); len(names) != 1 {
		t.Errorf("outside: %v", names)
	}
}

func TestSecondTransactionIsRefusedByName(t *testing.T) {
	root := t.TempDir()
	first, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := first.Lock([]string{"pkgtool", "install", "zlib"}); err != nil {
		t.Fatal(err)
	}
	second, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	var locked *LockedError
	err = second.Lock([]string{"pkgtool", "remove", "x"})
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d, pkgtool install zlib", os.Getpid())) {
		t.Fatalf("got %v", err)
	}
	first.Close()
	if err := second.Lock(nil); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownOwnerIsRefused(t *testing.T) {
	p := build(t, spec{"a", "1.0.0", "owned x nobody-here"})
	_, err := commit(t.Context(), t.TempDir(), Change{Add: []Addition{{Package: p}}})
	if os.Geteuid() != 0 { // everything becomes the user's own
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), `user "nobody-here"`) {
		t.Fatalf("got %v", err)
	}
}

func TestDamagedStateIsNoticed(t *testing.T) {
	root := t.TempDir()
	install(t, root, base)
	names, err := filepath.Glob(filepath.Join(root, manifestsDir, "*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	data, _ := os.ReadFile(names[0])
	if err := os.WriteFile(names[0], bytes.Replace(data, []byte("hosts"), []byte("ghost"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := commit(t.Context(), root, Change{Remove: []string{"filesystem"}}); err == nil || !strings.Contains(err.Error(), "not the one that was installed") {
		t.Fatalf("got %v", err)
	}
}

func TestVerifyFindsEveryChange(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	os.Remove(filepath.Join(root, "usr/bin/tool-1.0.0"))
	os.Symlink("evil", filepath.Join(root, "usr/bin/tool-1.0.0"))
	put(t, root, "usr/share/tool/1.0.0", "dota")
	put(t, root, "etc/tool.conf", "mine")
	os.Remove(filepath.Join(root, "usr/bin/tool-link"))
	os.Chmod(filepath.Join(root, "root"), 0o755)
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	problems, err := s.Verify(t.Context(), VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%s: %s %v", p.Path, p.What, p.Config))
	}
	want := []string{
		"root: mode 0755 instead of 0700 false",
		"etc/tool.conf: has 4 bytes instead of 11 true",
		`usr/bin/tool-1.0.0: points to "evil" false`,
		"usr/bin/tool-link: missing false",
		"usr/share/tool/1.0.0: content changed false",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCancelledBeforeCommitChangesNothing(t *testing.T) {
	root := t.TempDir()
	install(t, root, base)
	before := snapshot(t, root)
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.Plan(t.Context(), Change{Add: []Addition{{Package: build(t, tool("1.0.0", "one"))}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Commit(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if after := snapshot(t, root); after != before {
		t.Errorf("something is left:\n%s", after)
	}
}

// Installing into a folder and Tree must make the same tree.
func TestTreeIsWhatInstallMakes(t *testing.T) {
	root := t.TempDir()
	packages := []*pkgfile.Package{build(t, base), build(t, tool("1.0.0", "one"))}
	nodes, err := Tree(packages, TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	install(t, root, base, tool("1.0.0", "one"))
	onDisk := map[string]bool{}
	for line := range strings.Lines(snapshot(t, root)) {
		onDisk[strings.Fields(line)[0]] = true
	}
	last := ""
	for _, n := range nodes {
		if n.Path <= last {
			t.Errorf("%s after %s", n.Path, last)
		}
		last = n.Path
		if strings.HasPrefix(n.Path, stateDir+"/store") {
			continue // no part of the snapshot
		}
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, n.Path), &st); err == nil && inTree(n.Path) && st.Mtim.Sec != n.Time {
			t.Errorf("%s has the time %d in the tree and %d on disk", n.Path, n.Time, st.Mtim.Sec)
		}
		if !onDisk[n.Path] {
			t.Errorf("%s is in the tree only", n.Path)
		}
		delete(onDisk, n.Path)
		if n.Type != pkgfile.TypeFile || n.Path == generationPath(1) || n.Path == identityPath {
			continue
		}
		r, err := n.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(data) != content(t, root, n.Path) || int64(len(data)) != n.Size {
			t.Errorf("%s: content differs, %v", n.Path, err)
		}
	}
	for path := range onDisk {
		t.Errorf("%s is on disk only", path)
	}
}

func TestTreeKnowsWhatIsInstalled(t *testing.T) {
	nodes, err := Tree([]*pkgfile.Package{build(t, tool("1.0.0", "one")), build(t, base)}, TreeOptions{Repo: "main", Requested: []string{"tool"}})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, n := range nodes { // write the state as an image would hold it
		path := filepath.Join(root, n.Path)
		switch n.Type {
		case pkgfile.TypeDir:
			err = os.Mkdir(path, 0o755)
		case pkgfile.TypeSymlink:
			err = os.Symlink(n.Target, path)
		case pkgfile.TypeHardlink:
			err = os.Link(filepath.Join(root, n.Target), path)
		default:
			r, openErr := n.Open()
			if openErr != nil {
				t.Fatal(openErr)
			}
			data, _ := io.ReadAll(r)
			if err = os.WriteFile(path, data, 0o644); err == nil {
				err = os.Chmod(path, fs.FileMode(n.Mode&0o777))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	image, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if image.Package("filesystem").Requested || !image.Package("tool").Requested || image.Package("filesystem").Repo != "main" {
		t.Errorf("what was asked for and from where: %+v", image.Installed())
	}
	image.Close()
	install(t, root, tool("2.0.0", "two"))
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Generation().Number != 2 || len(s.Installed()) != 2 || s.Package("tool").Version.String() != "2.0.0-1" {
		t.Errorf("generation %+v", s.Generation())
	}
}
