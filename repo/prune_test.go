package repo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/repotest"
)

func fine[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func exists(t *testing.T, dir, glob string) bool {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, glob))
	if err != nil {
		t.Fatal(err)
	}
	return len(found) > 0
}

// prune compares a dry run with the real one, and checks what is left.
func prune(t *testing.T, r *repo.Repository, dir string, now time.Time, o repo.PruneOptions) *repo.Pruned {
	t.Helper()
	before := tree(t, dir)
	o.DryRun = true
	dry := fine(r.Prune(t.Context(), o))(t)
	if after := tree(t, dir); !equalTrees(before, after) {
		t.Error("a dry run changed something")
	}
	o.DryRun = false
	p := fine(r.Prune(t.Context(), o))(t)
	if !reflect.DeepEqual(dry, p) {
		t.Errorf("the dry run said %+v, the real one did %+v", dry, p)
	}
	for _, file := range p.Files {
		if _, err := os.Lstat(filepath.Join(dir, file)); err == nil {
			t.Errorf("%s is still there", file)
		}
	}
	if problems := check(t, dir, now); len(problems) > 0 {
		t.Errorf("after pruning: %v", problems)
	}
	return p
}

// TestPrune follows a package from its publication to the end of its file.
func TestPrune(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	days := func(n int) { now = now.AddDate(0, 0, n) }
	repotest.Publish(t, r, repotest.Package(t, in, "zlib-1.0.0-1", "one", nil, key), repotest.Package(t, in, "bash-5.0.0-1", "bash", nil, key))
	days(1)
	repotest.Publish(t, r, repotest.Package(t, in, "zlib-2.0.0-1", "two", nil, key))
	days(1)
	repotest.Publish(t, r, repotest.Package(t, in, "zlib-3.0.0-1", "three", nil, key))

	p := prune(t, r, dir, now, repo.PruneOptions{Keep: 1})
	if len(p.Files) != 0 || len(p.Removed) != 2 {
		t.Errorf("within the grace period: %+v", p)
	}
	fine(r.Publish(t.Context()))(t)
	list := fine(r.List())(t)
	if len(list) != 2 || list[1].Version != "3.0.0" {
		t.Errorf("listed: %v", list)
	}

	// Another build of a version that was there until now is refused.
	other := repotest.Package(t, t.TempDir(), "zlib-2.0.0-1", "other", nil, key)
	if _, err := r.Add(t.Context(), "stable", other); fault.ClassOf(err) != fault.Usage {
		t.Errorf("another content of what was there: %v", err)
	}

	// A lock file keeps one of the two.
	held := list[0]
	for _, e := range fine(repo.ReadList(dir, fmt.Sprintf("stable@%d", versions(t, r)[2])))(t) {
		if e.Version == "2.0.0" {
			held.Entry = e
		}
	}
	lock := fmt.Sprintf(`{"ashlar_lock":1,"arch":"x86_64","packages":[{"name":"zlib","version":"2.0.0-1","arch":"x86_64","manifest_sha256":%q}]}`, held.Manifest)
	if h := fine(r.HoldLock(t.Context(), "prod.lock", []byte(lock)))(t); len(h.Missing) != 0 {
		t.Errorf("held: %+v", h)
	}

	days(31)
	p = prune(t, r, dir, now.AddDate(0, 0, -20), repo.PruneOptions{})
	if len(p.Forgotten) != 1 || p.Forgotten[0].Version != "1.0.0" || !exists(t, dir, "pool/z/zlib/*1.0.0*") {
		t.Errorf("31 days later: %+v", p)
	}
	fine(r.Publish(t.Context()))(t)
	days(31)
	p = prune(t, r, dir, now.AddDate(0, 0, -20), repo.PruneOptions{})
	if exists(t, dir, "pool/z/zlib/*1.0.0*") || !exists(t, dir, "pool/z/zlib/*2.0.0*") || !exists(t, dir, "metadata/1.root.json") {
		t.Errorf("62 days later: %+v", p)
	}
	fine(r.Publish(t.Context()))(t)

	// Without the lock the other one goes its way too.
	if err := r.ReleaseLock(t.Context(), "prod.lock"); err != nil {
		t.Fatal(err)
	}
	prune(t, r, dir, now, repo.PruneOptions{})
	fine(r.Publish(t.Context()))(t)
	days(31)
	fine(r.Publish(t.Context()))(t)
	prune(t, r, dir, now, repo.PruneOptions{})
	if exists(t, dir, "pool/z/zlib/*2.0.0*") || !exists(t, dir, "pool/z/zlib/*3.0.0*") || !exists(t, dir, "pool/b/bash/*") {
		t.Error("what only the lock kept is there, or what is listed is not")
	}
}

func versions(t *testing.T, r *repo.Repository) []int64 {
	t.Helper()
	return fine(r.Status())(t).Publications
}

// TestPruneKeepsWhatWaits: what is added, or staged, is no rubbish; what is
// dropped is.
func TestPruneKeepsWhatWaits(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	repotest.Publish(t, r, repotest.Package(t, in, "a-1.0.0-1", "a", nil, key))
	fine(r.Add(t.Context(), "stable", repotest.Package(t, in, "b-1.0.0-1", "b", nil, key)))(t)
	fine(r.AddToStage(t.Context(), "set", []string{"c"}, repotest.Package(t, in, "c-1.0.0-1", "c", nil, key)))(t)
	now = now.AddDate(1, 0, 0)
	fine(r.Prune(t.Context(), repo.PruneOptions{}))(t)
	for _, name := range []string{"a", "b", "c"} {
		if !exists(t, dir, "pool/"+name+"/"+name+"/*") {
			t.Errorf("%s is gone", name)
		}
	}
	if err := r.DropStage(t.Context(), "set"); err != nil {
		t.Fatal(err)
	}
	fine(r.Remove(t.Context(), "stable", "b"))(t)
	fine(r.Prune(t.Context(), repo.PruneOptions{}))(t)
	if exists(t, dir, "pool/b/b/*") || exists(t, dir, "pool/c/c/*") || exists(t, dir, "pool/c") || !exists(t, dir, "pool/a/a/*") {
		t.Error("what nobody wants is there, or what is published is not")
	}
}

// TestPruneRefusesDamage: nobody can tell what a damaged state needs.
func TestPruneRefusesDamage(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "a-1.0.0-1", "a", nil, key))
	files := fine(filepath.Glob(filepath.Join(dir, "index/*.zst")))(t)
	if err := flip(files[0], fine(os.ReadFile(files[0]))(t)); err != nil {
		t.Fatal(err)
	}
	now = now.AddDate(1, 0, 0)
	if _, err := r.Prune(t.Context(), repo.PruneOptions{}); err == nil {
		t.Error("pruned")
	}
	if !exists(t, dir, "pool/a/a/*") {
		t.Error("the package is gone")
	}
}

func TestPromote(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	_, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	refuse := errors.New("cannot be installed")
	var asked []string
	complete := func(_ context.Context, channel string, before, after []index.Entry) error {
		asked = append(asked, fmt.Sprintf("%s %d %d", channel, len(before), len(after)))
		return refuse
	}
	r := fine(repo.Open(dir, repo.Options{Keys: repotest.Keys(dir), Now: func() time.Time { return now }, Complete: complete}))(t)
	in := t.TempDir()
	fine(r.Add(t.Context(), "testing", repotest.Package(t, in, "a-1.0.0-1", "a", nil, key), repotest.Package(t, in, "a-2.0.0-1", "a2", nil, key),
		repotest.Package(t, in, "b-1.0.0-1.noarch", "b", nil, key)))(t)
	fine(r.Publish(t.Context()))(t)
	if _, err := r.Promote(t.Context(), repo.Promotion{From: "testing", To: "stable"}); !errors.Is(err, refuse) || len(asked) != 1 || asked[0] != "stable 0 2" {
		t.Errorf("%v, asked %q", err, asked)
	}
	if d := fine(r.PendingDifferences())(t); len(d) != 0 {
		t.Errorf("a refused promotion left %v", d)
	}
	refuse = nil
	brought := fine(r.Promote(t.Context(), repo.Promotion{From: "testing", To: "stable"}))(t)
	if len(brought) != 2 || brought[0].Version != "2.0.0" || brought[1].Name != "b" {
		t.Errorf("brought %v", brought)
	}
	if again := fine(r.Promote(t.Context(), repo.Promotion{From: "testing", To: "stable"}))(t); len(again) != 0 {
		t.Errorf("again: %v", again)
	}
	older := fine(r.Promote(t.Context(), repo.Promotion{From: "testing", To: "stable", Specs: []string{"a@1.0.0"}}))(t)
	if len(older) != 1 || older[0].Version != "1.0.0" {
		t.Errorf("by name: %v", older)
	}
	fine(r.Publish(t.Context()))(t)
	if problems := check(t, dir, now); len(problems) != 0 {
		t.Error(problems)
	}
	for _, p := range []repo.Promotion{{To: "stable"}, {From: "stable", To: "stable"}, {From: "testing", Stage: "x", To: "stable"}, {From: "../x", To: "stable"},
		{From: "testing", To: "stable", Specs: []string{"nothing"}}, {Stage: "../x", To: "stable"}} {
		if _, err := r.Promote(t.Context(), p); fault.ClassOf(err) != fault.Usage {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// TestArches: a repository holds packages for several machines.
func TestArches(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	arm := func(m *pkgfile.Manifest) { m.Arch = "aarch64" }
	repotest.Publish(t, r, repotest.Package(t, in, "zlib-1.0.0-1", "amd", nil, key), repotest.Package(t, t.TempDir(), "zlib-1.0.0-1", "arm", arm, key),
		repotest.Package(t, in, "tzdata-1.0.0-1.noarch", "zones", nil, key))
	var got []string
	for _, l := range fine(r.List())(t) {
		got = append(got, l.ID())
	}
	if want := "zlib-1.0.0-1.aarch64 tzdata-1.0.0-1.noarch zlib-1.0.0-1.x86_64"; strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
	removed := fine(r.Remove(t.Context(), "stable", "zlib-1.0.0-1.aarch64"))(t)
	if len(removed) != 1 || removed[0].Arch != "aarch64" {
		t.Errorf("removed %v", removed)
	}
	fine(r.Publish(t.Context()))(t)
	if problems := check(t, dir, now); len(problems) != 0 {
		t.Error(problems)
	}
	s := fine(r.Status())(t)
	if len(s.Channels) != 3 || s.Channels[0].Arch != "aarch64" || s.Channels[0].Packages != 0 || s.Channels[0].Superseded != 1 || len(s.Problems) != 0 {
		t.Errorf("status %+v", s)
	}
	now = now.AddDate(0, 0, 20)
	if s := fine(r.Status())(t); len(s.Problems) != 1 || !strings.Contains(s.Problems[0], "timestamp") {
		t.Errorf("expired: %+v", s)
	}
}

// TestLostMemory: a publisher that does not know since when packages are
// superseded takes them for new, and forgets them a grace period later.
func TestLostMemory(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	repotest.Publish(t, r, repotest.Package(t, in, "a-1.0.0-1", "a", nil, key), repotest.Package(t, in, "b-1.0.0-1", "b", nil, key))
	fine(r.Remove(t.Context(), "stable", "a"))(t)
	fine(r.Publish(t.Context()))(t)
	path := filepath.Join(dir, ".ashlar/superseded.json")
	memory := fine(os.ReadFile(path))(t)
	// The memory names another package, as if a publisher had been killed twice.
	other := strings.ReplaceAll(string(memory), `"name": "a"`, `"name": "x"`)
	sum := fine(repo.ReadList(dir, "stable"))(t)[0].SHA256
	other = strings.Replace(other, string(memory[strings.Index(string(memory), `"sha256": "`)+11:][:64]), sum, 1)
	if err := os.WriteFile(path, []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	now = now.AddDate(0, 0, 40)
	if p := fine(r.Prune(t.Context(), repo.PruneOptions{}))(t); len(p.Forgotten) != 0 {
		t.Errorf("forgotten at once: %v", p.Forgotten)
	}
	now = now.AddDate(0, 0, 31)
	if p := fine(r.Prune(t.Context(), repo.PruneOptions{}))(t); len(p.Forgotten) != 1 || p.Forgotten[0].Name != "a" {
		t.Errorf("after the grace period: %v", p.Forgotten)
	}
	fine(r.Publish(t.Context()))(t)
	if s := fine(r.Status())(t); s.Channels[0].Superseded != 0 {
		t.Errorf("still listed: %+v", s.Channels)
	}
}
