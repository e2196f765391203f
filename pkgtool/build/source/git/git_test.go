package git

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

// repository is made and served by the real git.
type repository struct {
	t           *testing.T
	folder, url string
}

// serve starts git http-backend for all repositories below a folder.
func serve(t *testing.T) (folder, url string) {
	exe, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git is needed for this test: %v", err)
	}
	folder = t.TempDir()
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(exe)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"},
	}
	server := httptest.NewServer(backend)
	t.Cleanup(server.Close)
	return folder, server.URL
}

func newRepository(t *testing.T, folder, url, name string) *repository {
	r := &repository{t, filepath.Join(folder, name), url + "/" + name}
	if err := os.MkdirAll(r.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	return r.gitIn("", args...)
}

func (r *repository) gitIn(stdin string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = r.folder, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent", "GIT_ALLOW_PROTOCOL=http:file",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.org", "GIT_COMMITTER_DATE=1700000001 +0100")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repository) write(name, content string, mode os.FileMode) {
	r.t.Helper()
	path := filepath.Join(r.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		r.t.Fatal(err)
	}
}

// commit records everything in the folder and returns the commit's id.
func (r *repository) commit() string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "x")
	return r.git("rev-parse", "HEAD")
}

// commitTree records a tree made by hand, as git mktree reads it.
func (r *repository) commitTree(listing string) string {
	r.t.Helper()
	tree := r.gitIn(listing, "mktree", "--missing")
	id := r.git("commit-tree", "-m", "x", tree)
	r.git("update-ref", "refs/heads/main", id)
	return id
}

func archiveOf(t *testing.T, c Commit) ([]byte, error) {
	t.Helper()
	var b bytes.Buffer
	err := Archive(t.Context(), http.DefaultClient, c, t.TempDir(), nil, &b)
	return b.Bytes(), err
}

func mustArchive(t *testing.T, c Commit) []byte {
	t.Helper()
	data, err := archiveOf(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// list shows every member as "mode size name -> target".
func list(t *testing.T, data []byte) string {
	t.Helper()
	var b strings.Builder
	reader := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := reader.Next()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 1700000001 {
			t.Errorf("%s: owner %d:%d %q, time %s", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		fmt.Fprintf(&b, "%o %d %s", h.Mode, h.Size, name)
		if h.Linkname != "" {
			fmt.Fprintf(&b, " -> %s", h.Linkname)
		}
		b.WriteByte('\n')
	}
}

// fill makes a repository with everything that its owner could hope a client
// would obey: filters, export rules, LFS pointers.
func fill(r *repository) string {
	r.write("README", "one\n", 0o644)
	r.commit()
	r.write("README", "two\n", 0o644)
	r.write("bin/run", "#!/bin/sh\n", 0o755)
	r.write("a.b", "x", 0o644)
	r.write("a/c", "y", 0o644)
	r.write(strings.Repeat("long/", 30)+strings.Repeat("n", 120)+"ä", "z", 0o600)
	r.write(".gitattributes", "README filter=evil export-subst\nbin export-ignore\n*.bin filter=lfs diff=lfs merge=lfs\n", 0o644)
	r.write("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", 0o644)
	if err := os.Symlink("../a/c", filepath.Join(r.folder, "bin/link")); err != nil {
		r.t.Fatal(err)
	}
	return r.commit()
}

// TestArchiveIsWhatGitHas compares with `git archive`, which wrote the same
// commit by other means, and with the sum that other machines found.
func TestArchiveIsWhatGitHas(t *testing.T) {
	folder, url := serve(t)
	r := newRepository(t, folder, url, "thing")
	id := fill(r)
	data := mustArchive(t, Commit{URL: r.url, ID: id})
	if got, want := hex.EncodeToString(sum(data)), "d7ab40bc9070247cc19bce494466afa45e3d9f03c8bf0d43bd909006b9abc797"; got != want {
		t.Errorf("the archive's bytes changed: every pinned sum of a git source becomes wrong\ngot  %s\nwant %s\n%s", got, want, list(t, data))
	}
	ours, theirs, tarball := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "git.tar")
	r.git("archive", "--prefix="+id+"/", "-o", tarball, id)
	expected, err := os.ReadFile(tarball)
	if err != nil {
		t.Fatal(err)
	}
	for dir, source := range map[string][]byte{ours: data, theirs: expected} {
		cmd := exec.Command("tar", "-x", "-C", dir)
		cmd.Stdin = bytes.NewReader(source)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
	}
	// git obeys export-ignore and export-subst, which change nothing here but bin.
	out, err := exec.Command("diff", "-r", "--no-dereference", ours, theirs).CombinedOutput()
	if want := "Only in " + ours + "/" + id + ": bin\n"; string(out) != want {
		t.Errorf("diff (%v):\n%s\nwant\n%s", err, out, want)
	}
}

func sum(data []byte) []byte {
	s := sha256.Sum256(data)
	return s[:]
}

// TestEveryWayToTheCommitGivesTheSameBytes: tip of a branch, annotated tag,
// commit by id, and history of a branch.
func TestEveryWayToTheCommitGivesTheSameBytes(t *testing.T) {
	folder, url := serve(t)
	r := newRepository(t, folder, url, "thing")
	id := fill(r)
	tip := mustArchive(t, Commit{URL: r.url, ID: id})

	r.git("tag", "-a", "-m", "x", "v1", id)
	r.write("README", "three\n", 0o644)
	r.commit()
	if got := mustArchive(t, Commit{URL: r.url, ID: id}); !bytes.Equal(got, tip) {
		t.Error("by tag: other bytes")
	}
	if got, err := Resolve(t.Context(), http.DefaultClient, r.url, "v1"); err != nil || got != id {
		t.Errorf("tag v1 leads to %s (%v), want %s", got, err, id)
	}
	r.git("tag", "-d", "v1")

	_, err := archiveOf(t, Commit{URL: r.url, ID: id})
	var absent *NotFoundError
	if !errors.As(err, &absent) || !strings.Contains(err.Error(), "into ref") {
		t.Errorf("a server that gives out no commit by its id: %v", err)
	}
	if got := mustArchive(t, Commit{URL: r.url, ID: id, Ref: "main"}); !bytes.Equal(got, tip) {
		t.Error("by history: other bytes")
	}
	r.git("config", "uploadpack.allowReachableSHA1InWant", "true")
	if got := mustArchive(t, Commit{URL: r.url, ID: id}); !bytes.Equal(got, tip) {
		t.Error("by id: other bytes")
	}
	r.git("repack", "-adf", "--depth=50")
	if got := mustArchive(t, Commit{URL: r.url, ID: id, Ref: "main"}); !bytes.Equal(got, tip) {
		t.Error("after repacking: other bytes")
	}
}

func TestSubmodules(t *testing.T) {
	folder, url := serve(t)
	inner := newRepository(t, folder, url, "group/inner")
	inner.write("file", "inner\n", 0o644)
	innerID := inner.commit()
	outer := newRepository(t, folder, url, "group/outer")
	outer.write("file", "outer\n", 0o644)
	outer.write(".gitmodules", "[submodule \"x\"]\n\tpath = lib/inner\n\turl = ../inner\n", 0o644)
	outer.git("add", "-A")
	outer.git("update-index", "--add", "--cacheinfo", "160000,"+innerID+",lib/inner")
	outer.git("commit", "-q", "-m", "x")
	id := outer.git("rev-parse", "HEAD")

	plain := list(t, mustArchive(t, Commit{URL: outer.url, ID: id}))
	if want := "755 0 \n644 50 .gitmodules\n644 6 file\n755 0 lib/\n755 0 lib/inner/\n"; plain != want {
		t.Errorf("without submodules:\n%swant\n%s", plain, want)
	}
	full := list(t, mustArchive(t, Commit{URL: outer.url, ID: id, Submodules: true}))
	if want := "755 0 \n644 50 .gitmodules\n644 6 file\n755 0 lib/\n755 0 lib/inner/\n644 6 lib/inner/file\n"; full != want {
		t.Errorf("with submodules:\n%swant\n%s", full, want)
	}
}

// TestRefusals: what a recipe or a server could try. No file outside the
// scratch folder may appear, and no program run.
func TestRefusals(t *testing.T) {
	folder, url := serve(t)
	r := newRepository(t, folder, url, "thing")
	r.write("f", "x", 0o644)
	good := r.commit()
	blob := r.git("rev-parse", "HEAD:f")
	tree := r.git("rev-parse", "HEAD^{tree}")
	r.git("config", "uploadpack.allowAnySHA1InWant", "true")
	long := r.gitIn(strings.Repeat("x", 5000), "hash-object", "-w", "--stdin")
	evilModules := func(address string) string {
		modules := r.gitIn("[submodule \"x\"]\n\tpath = sub\n\turl = "+address+"\n", "hash-object", "-w", "--stdin")
		return "100644 blob " + modules + "\t.gitmodules\n160000 commit " + good + "\tsub\n"
	}
	for _, c := range []struct {
		name  string
		c     Commit
		tree  string // committed and used when not empty
		says  string
		class fault.Class
	}{
		{"a file", Commit{URL: "file://" + r.folder, ID: good}, "", "through https only", fault.Usage},
		{"a path", Commit{URL: r.folder, ID: good}, "", "through https only", fault.Usage},
		{"a program", Commit{URL: "ext::sh -c touch% /tmp/x", ID: good}, "", "through https only", fault.Usage},
		{"ssh", Commit{URL: "git@example.org:x/y", ID: good}, "", "cannot be parsed", fault.Usage},
		{"an option", Commit{URL: "--upload-pack=x", ID: good}, "", "through https only", fault.Usage},
		{"a password", Commit{URL: "https://me:secret@example.org/x", ID: good}, "", "has no host, or a password in it", fault.Usage},
		{"a branch for a commit", Commit{URL: r.url, ID: "main"}, "", "not a full id", fault.Usage},
		{"a short id", Commit{URL: r.url, ID: good[:12]}, "", "not a full id", fault.Usage},
		{"a sha256 id", Commit{URL: r.url, ID: strings.Repeat("a", 64)}, "", "SHA-256", fault.Usage},
		{"a strange ref", Commit{URL: r.url, ID: good, Ref: "a b"}, "", "not the name of a branch", fault.Usage},
		{"an absent repository", Commit{URL: r.url + "x", ID: good}, "", "no such repository", fault.Failed},
		{"an absent commit", Commit{URL: r.url, ID: strings.Repeat("1", 40), Ref: "nothing"}, "", "", fault.Failed},
		{"a tree for a commit", Commit{URL: r.url, ID: tree}, "", "", fault.Failed},
		{".git", Commit{URL: r.url}, "040000 tree " + tree + "\t.GIT\n", "a repository's own folder", fault.Security},
		{"..", Commit{URL: r.url}, "040000 tree " + tree + "\t..\n", "is no name of a file", fault.Security},
		{"a long link", Commit{URL: r.url}, "120000 blob " + long + "\tlink\n", "a target of 5000 bytes", fault.Security},
		{"a name twice", Commit{URL: r.url}, "100644 blob " + blob + "\tf\n040000 tree " + tree + "\tf\n", "stands twice", fault.Security},
		{"submodule of a file", Commit{URL: r.url, Submodules: true}, evilModules("file://" + r.folder), "submodule", fault.Security},
		{"submodule of a path", Commit{URL: r.url, Submodules: true}, evilModules(r.folder), "submodule", fault.Security},
		{"submodule of a program", Commit{URL: r.url, Submodules: true}, evilModules("ext::sh -c true"), "submodule", fault.Security},
		{"submodule of an option", Commit{URL: r.url, Submodules: true}, evilModules("-u./x"), "submodule", fault.Security},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.tree != "" {
				c.c.ID = r.commitTree(c.tree)
			}
			_, err := archiveOf(t, c.c)
			if err == nil || !strings.Contains(err.Error(), c.says) || fault.ClassOf(err) != c.class {
				t.Errorf("got %v (class %d), want %q of class %d", err, fault.ClassOf(err), c.says, c.class)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is shown: %v", err)
			}
		})
	}
}

func TestDeltaSizes(t *testing.T) {
	if from, to, ok := deltaSizes([]byte{0x80, 0x01, 0xff, 0xff, 0x7f}); !ok || from != 128 || to != 0x1fffff {
		t.Errorf("%d %d %t", from, to, ok)
	}
	for _, data := range [][]byte{nil, {0x80}, {1}, bytes.Repeat([]byte{0xff}, 20)} {
		if _, _, ok := deltaSizes(data); ok {
			t.Errorf("%x is accepted", data)
		}
	}
}
