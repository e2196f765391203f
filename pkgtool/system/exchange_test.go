package system

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rollback returns to a generation.
func rollback(ctx context.Context, root string, number int) (*Plan, error) {
	s, err := open(root)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := s.PlanRollback(ctx, number, nil)
	if err != nil {
		return nil, err
	}
	p.next.Time = commitTime
	return p, p.Commit(ctx, nil)
}

func rolledBack(t *testing.T, root string, number int) *Plan {
	t.Helper()
	p, err := rollback(t.Context(), root, number)
	if err != nil {
		t.Fatal(err)
	}
	verified(t, root)
	return p
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// outsideState is a snapshot without what pkgtool keeps.
func outsideState(t *testing.T, root string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(snapshot(t, root)) {
		if !strings.HasPrefix(line, stateDir) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

func TestUpgradeExchangesTheTree(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	first := inode(t, filepath.Join(root, "usr"))
	p := install(t, root, tool("2.0.0", "two"))
	second := inode(t, filepath.Join(root, "usr"))
	if p.InPlace || first == second {
		t.Error("the tree was not exchanged")
	}
	if spare := inode(t, filepath.Join(root, spareRoot, "usr")); spare != first {
		t.Error("the old tree is not the spare one")
	}
	install(t, root, tool("3.0.0", "three"))
	if third := inode(t, filepath.Join(root, "usr")); third != first {
		t.Error("the spare tree was not used again")
	}
	verified(t, root)
	// What both trees have is one file.
	if inode(t, filepath.Join(root, "usr/share/tool/3.0.0")) == inode(t, filepath.Join(root, "etc/tool.conf")) {
		t.Error("a configuration file is shared")
	}
}

func TestRollbackAndBack(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	one := outsideState(t, root)
	install(t, root, tool("2.0.0", "two"))
	two := outsideState(t, root)
	for _, step := range []struct {
		to   int
		want string
	}{{1, one}, {2, two}, {3, one}, {4, two}, {1, one}} {
		p := rolledBack(t, root, step.to)
		if needs := p.Needs(); len(needs) > 0 {
			t.Errorf("a rollback wants content: %v", needs)
		}
		if got := outsideState(t, root); got != step.want {
			t.Errorf("rollback to %d: got\n%s\nwant\n%s", step.to, got, step.want)
		}
	}
	// A removed package comes back without its file.
	if _, err := commit(t.Context(), root, Change{Remove: []string{"tool"}}); err != nil {
		t.Fatal(err)
	}
	rolledBack(t, root, 2)
	if got := outsideState(t, root); got != two {
		t.Errorf("removal undone: got\n%s\nwant\n%s", got, two)
	}
	if _, err := rollback(t.Context(), root, 99); err == nil || !strings.Contains(err.Error(), "no generation 99") {
		t.Errorf("rollback to nowhere: %v", err)
	}
}

func TestForeignFilesInTheTreeComeAlong(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"), spec{"going", "1.0.0", "dir usr/share/going 0755\nfile usr/share/going/x 0644 x"})
	foreign := map[string]string{
		"usr/local/bin/mine": "mine", "usr/local/share/deep/er/file": "deep", "usr/bin/own": "own", "usr/share/going/note": "note",
	}
	for path, text := range foreign {
		put(t, root, path, text)
	}
	if err := os.Symlink("mine", filepath.Join(root, "usr/local/bin/link")); err != nil {
		t.Fatal(err)
	}
	held := inode(t, filepath.Join(root, "usr/local/bin/mine"))
	check := func(what string) {
		t.Helper()
		for path, text := range foreign {
			if got := content(t, root, path); got != text {
				t.Errorf("%s: %s is %q", what, path, got)
			}
		}
		if target, _ := os.Readlink(filepath.Join(root, "usr/local/bin/link")); target != "mine" {
			t.Errorf("%s: the link is gone", what)
		}
		if inode(t, filepath.Join(root, "usr/local/bin/mine")) != held {
			t.Errorf("%s: mine is another file", what)
		}
		verified(t, root)
	}
	p := install(t, root, tool("2.0.0", "two"))
	check("upgrade")
	if want := []string{"usr/bin/own", "usr/local", "usr/share/going/note"}; p.InPlace || !slices.Equal(p.Carried, want) {
		t.Errorf("carried %v, want %v", p.Carried, want)
	}
	first := inode(t, filepath.Join(root, spareRoot, "usr"))
	install(t, root, tool("3.0.0", "three"))
	check("second upgrade")
	if inode(t, filepath.Join(root, "usr")) != first {
		t.Error("foreign files made the spare tree useless")
	}
	rolledBack(t, root, 1)
	check("rollback")
	// A folder that only foreign files need any more stays for them.
	if _, err := commit(t.Context(), root, Change{Remove: []string{"going"}}); err != nil {
		t.Fatal(err)
	}
	check("removal")
	install(t, root, spec{"local", "1.0.0", "dir usr/local/share 0755\nfile usr/local/share/ours 0644 ours"})
	check("a package in a foreign folder")
	install(t, root, tool("4.0.0", "four"))
	check("and another")
}

func TestForeignFilesInTheWayAreRefused(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	put(t, root, "usr/share/tool/2.0.0", "mine")
	before := snapshot(t, root)
	_, err := commit(t.Context(), root, add(t, tool("2.0.0", "two")))
	if err == nil || !strings.Contains(err.Error(), "usr/share/tool/2.0.0 (wanted by tool)") {
		t.Fatalf("got %v", err)
	}
	if after := snapshot(t, root); after != before {
		t.Errorf("something changed:\n%s\nbefore\n%s", after, before)
	}
	put(t, root, "usr/share/tool/2.0.0", "data") // the very same is taken over
	install(t, root, tool("2.0.0", "two"))
	verified(t, root)
	install(t, root, tool("3.0.0", "three"))
	verified(t, root)
}

func TestReplacedAndMissingFilesAreNoticed(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"), spec{"p", "1.0.0", "file usr/lib/p/a 0644 a\nfile usr/lib/p/b 0644 b\nsymlink usr/lib/p/l a\nfile usr/lib/p/sub/x 0644 x"})
	remove := func(path string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
	remove("usr/lib/p/a")
	put(t, root, "usr/lib/p/a", "edited")
	remove("usr/lib/p/l")
	if err := os.Symlink("b", filepath.Join(root, "usr/lib/p/l")); err != nil {
		t.Fatal(err)
	}
	remove("usr/lib/p/b")
	remove("usr/lib/p/sub")
	if err := os.Symlink(t.TempDir(), filepath.Join(root, "usr/lib/p/sub")); err != nil {
		t.Fatal(err)
	}
	p := install(t, root, tool("2.0.0", "two"))
	if want := []string{"usr/lib/p/a", "usr/lib/p/l", "usr/lib/p/sub"}; !slices.Equal(p.Saved, want) {
		t.Errorf("saved %v, want %v", p.Saved, want)
	}
	if got := content(t, root, savedDir+"/2/usr/lib/p/a"); got != "edited" {
		t.Errorf("the edited file is %q", got)
	}
	verified(t, root)
	// The tree that lacked something must not come back.
	install(t, root, tool("3.0.0", "three"))
	verified(t, root)
	rolledBack(t, root, 1)
}

func TestEditedConfigurationThroughUpgradeAndRollback(t *testing.T) {
	lines := func(first, last string) string { return first + "|middle|more|still|" + last }
	root := t.TempDir()
	conf := func(version, text string) Change {
		return add(t, spec{"p", version, "config etc/p.conf " + text + "\nfile usr/share/p 0644 " + version})
	}
	apply := func(c Change) *Plan {
		t.Helper()
		p, err := commit(t.Context(), root, c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	apply(conf("1.0.0", lines("one", "end")))
	put(t, root, "etc/p.conf", strings.ReplaceAll(lines("one", "mine"), "|", "\n"))
	p := apply(conf("2.0.0", lines("two", "end")))
	if len(p.Config) != 1 || !p.Config[0].Merged {
		t.Errorf("notes %+v", p.Config)
	}
	if got, want := content(t, root, "etc/p.conf"), strings.ReplaceAll(lines("two", "mine"), "|", "\n"); got != want {
		t.Errorf("merged %q, want %q", got, want)
	}
	rolledBackWithEdits(t, root, 1)
	if got, want := content(t, root, "etc/p.conf"), strings.ReplaceAll(lines("one", "mine"), "|", "\n"); got != want {
		t.Errorf("rolled back %q, want %q", got, want)
	}
	// Both sides change the same line.
	put(t, root, "etc/p.conf", strings.ReplaceAll(lines("ours", "mine"), "|", "\n"))
	p = apply(conf("2.0.0", lines("two", "end")))
	if len(p.Config) != 1 || p.Config[0].New != "etc/p.conf.new" {
		t.Errorf("notes %+v", p.Config)
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	files, err := s.ConfigFiles()
	if err != nil || len(files) != 1 || files[0].State != ConfigPending || files[0].New != "etc/p.conf.new" || files[0].Package != "p" {
		t.Errorf("files %+v, %v", files, err)
	}
	base, theirs, ours, err := s.ConfigTexts("etc/p.conf")
	if err != nil || !strings.HasPrefix(string(base), "one\n") || !strings.HasPrefix(string(theirs), "two\n") || !strings.HasPrefix(string(ours), "ours\n") {
		t.Errorf("texts %q, %q, %q, %v", base, theirs, ours, err)
	}
	// A later version is merged with the base of the edits.
	s.Close()
	apply(conf("3.0.0", lines("one", "end")))
	if got, want := content(t, root, "etc/p.conf"), strings.ReplaceAll(lines("ours", "mine"), "|", "\n"); got != want || content(t, root, "etc/p.conf.new") != "(missing)" {
		t.Errorf("merged %q, want %q; beside %q", got, want, content(t, root, "etc/p.conf.new"))
	}
	// And a person can settle it.
	apply(conf("4.0.0", lines("four", "end")))
	if s, err = Open(root); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.ResolveConfig("etc/p.conf", []byte("settled\n")); err != nil {
		t.Fatal(err)
	}
	if content(t, root, "etc/p.conf") != "settled\n" || content(t, root, "etc/p.conf.new") != "(missing)" {
		t.Error("not settled")
	}
	files, err = s.ConfigFiles()
	if err != nil || files[0].State != ConfigModified {
		t.Errorf("files %+v, %v", files, err)
	}
	if err := s.ResolveConfig("usr/share/p", nil); err == nil {
		t.Error("a file that is no configuration was settled")
	}
}

func rolledBackWithEdits(t *testing.T, root string, number int) {
	t.Helper()
	if _, err := rollback(t.Context(), root, number); err != nil {
		t.Fatal(err)
	}
}

func TestSeveralBuildsOfOneName(t *testing.T) {
	root := t.TempDir()
	kernel := func(version string) spec {
		return spec{"kernel", version, "dir usr/lib/modules 0755\nfile usr/lib/modules/" + version + "/vmlinuz 0755 kernel " + version}
	}
	beside := func(version string) Change {
		return Change{Add: []Addition{{Package: build(t, kernel(version)), Beside: true}}}
	}
	install(t, root, base)
	for _, version := range []string{"6.1.0", "6.2.0", "6.2.0", "6.3.0"} {
		if _, err := commit(t.Context(), root, beside(version)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if builds := s.Builds("kernel"); len(builds) != 3 || s.Package("kernel").Version.String() != "6.3.0-1" {
		t.Errorf("builds %v", builds)
	}
	s.Close()
	if _, err := commit(t.Context(), root, Change{Remove: []string{"kernel@6.1.0-1"}}); err != nil {
		t.Fatal(err)
	}
	if content(t, root, "usr/lib/modules/6.1.0/vmlinuz") != "(missing)" || content(t, root, "usr/lib/modules/6.2.0/vmlinuz") == "(missing)" {
		t.Error("the wrong build went")
	}
	install(t, root, kernel("7.0.0")) // takes the place of all
	if content(t, root, "usr/lib/modules/6.3.0/vmlinuz") != "(missing)" {
		t.Error("an old build is left")
	}
	verified(t, root)
	if _, err := commit(t.Context(), root, Change{Remove: []string{"kernel@6.3.0-1"}}); err == nil {
		t.Error("a build that is not there was removed")
	}
}

func TestRequestsAloneChangeNoFile(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	before := outsideState(t, root)
	if _, err := commit(t.Context(), root, Change{Request: []string{"tool"}}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Package("tool").Requested || s.Package("filesystem").Requested {
		t.Error("requests")
	}
	if after := outsideState(t, root); after != before {
		t.Errorf("something changed:\n%s\nbefore\n%s", after, before)
	}
	p, err := s.Plan(t.Context(), Change{Unrequest: []string{"tool"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(t.Context(), nil); err != nil || s.Package("tool").Requested {
		t.Errorf("unrequest: %v", err)
	}
	verified(t, root)
}

func TestPlanOfAnotherGenerationIsRefused(t *testing.T) {
	root := t.TempDir()
	install(t, root, base)
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.Plan(t.Context(), add(t, tool("1.0.0", "one")))
	if err != nil {
		t.Fatal(err)
	}
	install(t, root, tool("2.0.0", "two")) // somebody else, meanwhile
	if err := p.Commit(t.Context(), nil); !errors.Is(err, errChanged) {
		t.Fatalf("got %v", err)
	}
}

func TestClockBackwards(t *testing.T) {
	root := t.TempDir()
	for i, when := range []time.Time{time.Unix(1900000000, 0), time.Unix(1000, 0), time.Unix(1, 0)} {
		s, err := Open(root)
		if err != nil {
			t.Fatal(err)
		}
		change := add(t, base, tool([]string{"1.0.0", "2.0.0", "3.0.0"}[i], "text"))
		change.Time = when
		p, err := s.Plan(t.Context(), change)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	rolledBack(t, root, 2)
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Prune(t.Context(), Policy{Keep: 2, Age: time.Hour}); err != nil {
		t.Fatal(err)
	}
	history, err := s.History()
	if err != nil || len(history) != 3 || history[0].Number != 1 { // from the future, so young
		t.Errorf("history %v, %v", history, err)
	}
}

func TestDiff(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	install(t, root, tool("2.0.0", "two"), spec{"other", "1.0.0", "file usr/other 0644 x"})
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := s.Diff(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	wantPackages := []PackageChange{{"other", "", "1.0.0-1"}, {"tool", "1.0.0-1", "2.0.0-1"}}
	wantFiles := []FileChange{{"etc/tool.conf", "changed"}, {"usr/bin/tool", "changed"}, {"usr/bin/tool-1.0.0", "removed"},
		{"usr/bin/tool-2.0.0", "added"}, {"usr/bin/tool-link", "changed"}, {"usr/other", "added"}, {"usr/share/tool/1.0.0", "removed"}, {"usr/share/tool/2.0.0", "added"}}
	if !slices.Equal(d.Packages, wantPackages) || !slices.Equal(d.Files, wantFiles) {
		t.Errorf("got %+v", d)
	}
	if back, err := s.Diff(2, 1); err != nil || len(back.Files) != len(d.Files) {
		t.Errorf("the other way: %+v, %v", back, err)
	}
	if _, err := s.Diff(1, 3); err == nil {
		t.Error("a generation that is not there")
	}
}
