package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
