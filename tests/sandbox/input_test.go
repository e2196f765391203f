package sandbox

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// unharmed checks that nothing outside the work folders was made or read.
func (w *world) unharmed(what string) {
	w.Helper()
	entries, err := os.ReadDir(w.path("canary"))
	if err != nil || len(entries) != 1 {
		w.Errorf("%s: the canary's folder has %v, %v", what, entries, err)
	}
	if text, err := os.ReadFile(w.path("canary/secret")); err != nil || string(text) != secret {
		w.Errorf("%s: the canary is %q, %v", what, text, err)
	}
	for _, name := range []string{"pwned", "recipes/pwned", "out/pwned", "cache/pwned"} {
		if _, err := os.Lstat(w.path(name)); err == nil {
			w.Errorf("%s: %s was made", what, name)
		}
	}
	if log := w.log("bad"); strings.Contains(log, secret) {
		w.Errorf("%s: the log has the secret:\n%s", what, log)
	}
}

// TestFieldsAreNotShell is S23: whatever stands in a field, no shell and no
// option parser of the host sees it as more than a text.
func TestFieldsAreNotShell(t *testing.T) {
	each(t, func(w *world) {
		touch := "touch " + w.path("pwned")
		for _, text := range []string{"$(" + touch + ")", "`" + touch + "`", "; " + touch, "| " + touch, "a\n" + touch, "' " + touch + " '", `" ` + touch + ` "`, "-rf", "--help", "a\x00b", "../../pwned", "/pwned", "$HOME", "${env.HOME}", "*", "~root"} {
			quoted := fmt.Sprintf("%q", text) // of Go is of YAML, too
			for _, c := range []struct{ field, recipe string }{
				{"name", "schema: 1\nname: " + quoted + "\nversion: \"1.0.0\"\nrelease: 1\ndate: 2026-01-10\nsummary: s\nlicense: MIT\n"},
				{"version", "schema: 1\nname: bad\nversion: " + quoted + "\nrelease: 1\ndate: 2026-01-10\nsummary: s\nlicense: MIT\n"},
				{"summary", head + "summary: " + quoted + "\nlicense: MIT\n" + install},
				{"vars", head + "summary: s\nlicense: MIT\nvars: {x: " + quoted + "}\n" + "phases: {install: [{exec: [probe, put, '${vars.x}']}]}\n"},
				{"env", head + "summary: s\nlicense: MIT\nbuild: {strip: false, debug: false, env: {X: " + quoted + "}}\n" + phase},
				{"dir", head + "summary: s\nlicense: MIT\nphases: {install: [{exec: [probe, put], dir: " + quoted + "}]}\n"},
				{"url", head + "summary: s\nlicense: MIT\nsources: [{urls: [" + quoted + "], sha256: " + strings.Repeat("0", 64) + "}]\n" + phase},
				{"extra", head + "summary: s\nlicense: MIT\npackages: [{name: bad, extra: [{from: " + quoted + ", to: /usr/share/x}]}]\n"},
				{"claim", head + "summary: s\nlicense: MIT\npackages: [{name: bad, files: [" + quoted + "]}]\n" + phase},
			} {
				w.write("recipes/bad/recipe.yaml", c.recipe)
				w.build("bad") // may work, where the text is harmless there
				w.unharmed(c.field + " " + quoted)
			}
		}
	})
}

// Parts of recipes that are written out.
const (
	head    = "schema: 1\nname: bad\nversion: \"1.0.0\"\nrelease: 1\ndate: 2026-01-10\n"
	phase   = "phases: {install: [{run: 'mkdir -p $DESTDIR/usr/share; echo x > $DESTDIR/usr/share/x'}]}\n"
	install = "build: {strip: false, debug: false}\n" + phase
)

// TestPathsStayInside is S24: recipes name nothing outside of themselves.
func TestPathsStayInside(t *testing.T) {
	each(t, func(w *world) {
		check(w, os.MkdirAll(w.path("recipes/bad"), 0o755))
		check(w, os.Symlink(w.path("canary/secret"), w.path("recipes/bad/link")))
		check(w, os.Symlink(w.path("canary"), w.path("recipes/bad/folder")))
		for _, c := range []struct{ name, more string }{
			{"pipeline", "phases: {install: [{use: ../../canary/secret}]}\n"},
			{"absolute pipeline", "phases: {install: [{use: " + w.path("canary/secret") + "}]}\n"},
			{"extra", "packages: [{name: bad, extra: [{from: ../../canary/secret, to: /usr/share/x}]}]\n"},
			{"absolute extra", "packages: [{name: bad, extra: [{from: " + w.path("canary/secret") + ", to: /usr/share/x}]}]\n"},
			{"extra by a link", "packages: [{name: bad, extra: [{from: link, to: /usr/share/x}]}]\n"},
			{"extra by a linked folder", "packages: [{name: bad, extra: [{from: folder/secret, to: /usr/share/x}]}]\n"},
			{"patch", "patches: [../../canary/secret]\n" + phase},
			{"patch by a link", "patches: [link]\n" + phase},
			{"tree above the project", "sources: [{id: t, tree: ../..}]\n" + phase},
			{"absolute tree", "sources: [{id: t, tree: " + w.path("canary") + "}]\n" + phase},
			{"source", "sources: [{urls: [../../canary/secret], sha256: " + fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) + "}]\n" + phase},
			{"file url", "sources: [{urls: ['file://" + w.path("canary/secret") + "'], sha256: " + fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) + "}]\n" + phase},
			{"into", "sources: [{id: t, tree: ., into: ../../../canary}]\n" + phase},
		} {
			w.sub("S24 "+c.name, func(w *world) {

				w.recipe("bad", "build: {strip: false, debug: false}\n"+c.more)
				w.refused("bad")
				w.unharmed(c.name)
			})
		}
		// What a build sees of a recipe's folder are its files; links are not followed.
		w.recipe("bad", "build: {strip: false, debug: false}\nphases: {install: [{run: 'cat $RECIPEDIR/link $RECIPEDIR/folder/secret || true; mkdir -p $DESTDIR/usr/share; echo x > $DESTDIR/usr/share/x'}]}\n")
		w.built("bad")
		w.unharmed("links in the recipe's folder")
	})
}

// TestPatches is S25.
func TestPatches(t *testing.T) {
	each(t, func(w *world) {
		outside := w.path("pwned")
		for name, patch := range map[string]string{
			"above":        "--- a/../../../pwned\n+++ b/../../../pwned\n@@ -0,0 +1 @@\n+x\n",
			"absolute":     "--- /dev/null\n+++ " + outside + "\n@@ -0,0 +1 @@\n+x\n",
			"quoted":       "--- \"a/../\\056\\056/pwned\"\n+++ \"b/../\\056\\056/pwned\"\n@@ -0,0 +1 @@\n+x\n",
			"index":        "Index: ../../../pwned\n===\n--- ../../../pwned\n+++ ../../../pwned\n@@ -0,0 +1 @@\n+x\n",
			"ed":           "--- a/file\n+++ b/file\n1c\n!touch " + outside + "\n.\nw\n",
			"rename":       "diff --git a/file b/../../../pwned\nsimilarity index 100%\nrename from file\nrename to ../../../pwned\n",
			"submodule":    "diff --git a/sub b/sub\nnew file mode 160000\nindex 0000000..1111111\n--- /dev/null\n+++ b/sub\n@@ -0,0 +1 @@\n+Subproject commit 1111111111111111111111111111111111111111\n",
			"symlink":      "diff --git a/ln b/ln\nnew file mode 120000\nindex 0000000..1111111\n--- /dev/null\n+++ b/ln\n@@ -0,0 +1 @@\n+" + w.path("canary") + "\n\\ No newline at end of file\ndiff --git a/ln/x b/ln/x\nnew file mode 100644\n--- /dev/null\n+++ b/ln/x\n@@ -0,0 +1 @@\n+x\n",
			"no such file": "--- a/nothing\n+++ b/nothing\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n d\n",
			"fuzz":         "--- a/file\n+++ b/file\n@@ -1,3 +1,3 @@\n other\n-two\n+zwei\n lines\n",
		} {
			w.sub("S25 "+name, func(w *world) {

				w.write("recipes/bad/src/file", "one\ntwo\nthree\n")
				w.write("recipes/bad/bad.patch", patch)
				w.recipe("bad", "sources: [{id: t, tree: bad/src}]\npatches: [bad.patch]\nbuild: {strip: false, debug: false}\n"+phase)
				w.refused("bad", "bad.patch")
				w.unharmed(name)
			})
		}
	})
}

// TestArchives is S26 with what the real program unpacks; the whole corpus is
// that of the tests of build/source.
func TestArchives(t *testing.T) {
	each(t, func(w *world) {
		for name, members := range map[string][]tar.Header{
			"above":          {{Name: "x/../../../../pwned", Typeflag: tar.TypeReg}},
			"absolute":       {{Name: w.path("pwned"), Typeflag: tar.TypeReg}},
			"through a link": {{Name: "x/ln", Typeflag: tar.TypeSymlink, Linkname: w.path("canary")}, {Name: "x/ln/new", Typeflag: tar.TypeReg}},
			"hard link":      {{Name: "x/h", Typeflag: tar.TypeLink, Linkname: "../../../canary/secret"}},
			"device":         {{Name: "x/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
			"fifo":           {{Name: "x/fifo", Typeflag: tar.TypeFifo}},
		} {
			w.sub("S26 "+name, func(w *world) {
				t := w.T

				var b bytes.Buffer
				tw := tar.NewWriter(&b)
				for _, h := range append([]tar.Header{{Name: "x/", Typeflag: tar.TypeDir, Mode: 0o755}}, members...) {
					check(t, tw.WriteHeader(&h))
				}
				check(t, tw.Close())
				w.write("recipes/bad/data.tar", b.String())
				w.recipe("bad", "sources: [{urls: [data.tar], sha256: "+fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))+"}]\nbuild: {strip: false, debug: false}\n"+phase)
				w.refused("bad", "data.tar")
				w.unharmed(name)
			})
		}
	})
}

// TestDownloads is S27, S29 and S32.
func TestDownloads(t *testing.T) {
	each(t, func(w *world) {
		var asked []string
		web := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.Path)
			switch r.URL.Path {
			case "/redirect":
				http.Redirect(rw, r, "file://"+w.path("canary/secret"), http.StatusFound)
			case "/endless":
				for r.Context().Err() == nil {
					if _, err := rw.Write(make([]byte, 1<<16)); err != nil {
						return
					}
				}
			case "/nothing":
				http.NotFound(rw, r)
			default:
				rw.Write([]byte("not what the sum says"))
			}
		}))
		defer web.Close()
		w.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
		w.env = append(w.env, "SSL_CERT_FILE="+w.path("ca.pem"))
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte("something else")))
		source := func(path, more string) {
			w.recipe("bad", "sources: [{urls: ['"+web.URL+path+"']"+more+"}]\nbuild: {strip: false, debug: false}\n"+phase)
		}
		w.sub("S27 without a sum", func(w *world) {
			t := w.T

			source("/x.tar", "")
			w.refused("bad", "needs its sha256")
			if len(asked) > 0 {
				t.Errorf("asked for %q", asked)
			}
		})
		w.sub("S27 another sum", func(w *world) {
			t := w.T

			source("/x.tar", ", sha256: "+sum)
			w.refused("bad", sum)
			if w.log("bad") != "" {
				t.Error("a build began")
			}
		})
		w.sub("S27 redirect to a file", func(w *world) {

			source("/redirect", ", sha256: "+fmt.Sprintf("%x", sha256.Sum256([]byte(secret))))
			w.refused("bad")
		})
		w.sub("S27 without end", func(w *world) {

			source("/endless", ", sha256: "+sum+", size: 1000")
			w.refused("bad")
		})
		w.sub("S29 names that nobody has", func(w *world) {
			t := w.T

			asked = nil
			w.recipe("bad", "build: {strip: false, debug: false, tools: [left-pad], libs: [internal-dev]}\n"+phase)
			w.refused("bad", "left-pad", "internal-dev")
			if len(asked) > 0 {
				t.Errorf("asked for %q", asked)
			}
		})
		w.sub("S32 passwords in addresses", func(w *world) {
			t := w.T

			w.recipe("bad", "sources: [{urls: ['https://user:"+secret+"@"+strings.TrimPrefix(web.URL, "https://")+"/nothing'], sha256: "+sum+"}]\nbuild: {strip: false, debug: false}\n"+phase)
			out, err := w.build("bad")
			if err == nil || strings.Contains(out, secret) || strings.Contains(w.log("bad"), secret) {
				t.Errorf("%v\n%s", err, out)
			}
		})
		w.sub("S32 passwords of the build cache", func(w *world) {
			t := w.T

			l, err := net.Listen("tcp", "127.0.0.1:0")
			check(t, err)
			l.Close() // nobody is there
			w.recipe("good", "build: {strip: false, debug: false}\n"+phase)
			out, err := w.build("good", "--cache", "http://user:"+secret+"@"+l.Addr().String()+"/x")
			if err != nil || strings.Contains(out, secret) || strings.Contains(w.log("good"), secret) || !strings.Contains(out, "shared cache") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	})
}
