package sandbox

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
)

// running reports whether a process of the host has a mark among its arguments.
func running(mark string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && bytes.Contains(text, []byte(mark)) {
			return true
		}
	}
	return false
}

func TestWhatIsLeftBehind(t *testing.T) {
	each(t, func(w *world) {
		w.sub("S16 a process left behind", func(w *world) {
			t := w.T

			mark := "left-behind-" + filepath.Base(w.dir)
			w.act("daemon", "", "daemon", mark)
			w.built("daemon")
			if running(mark) {
				t.Error("it still runs")
			}
		})
		w.sub("S18 folders that are hard to remove", func(w *world) {
			t := w.T

			w.act("left", "", "left")
			acts, _ := report(w.built("left"))
			denied(t, acts, "make immutable")
			w.clean()
		})
		w.sub("S20 writing after the end", func(w *world) {
			t := w.T

			w.recipe("late", "build: {strip: false, debug: false}\nphases:\n  install:\n    - run: mkdir -p $DESTDIR/usr/share\n    - exec: [probe, late]\n")
			w.built("late")
			files, err := filepath.Glob(w.path("cache/build/installed/late-*/usr/share/late"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			before, err := os.ReadFile(files[0])
			check(t, err)
			time.Sleep(300 * time.Millisecond)
			after, err := os.ReadFile(files[0])
			check(t, err)
			p := w.pkg("late")
			f := p.Manifest().File("usr/share/late")
			if f == nil || len(before) != len(after) || fmt.Sprintf("%x", sha256.Sum256(after)) != f.SHA256 {
				t.Errorf("installed: %d bytes, later %d; in the package: %+v", len(before), len(after), f)
			}
		})
	})
}

// pkg opens a package that was built, and verifies it.
func (w *world) pkg(name string) *pkgfile.Package {
	w.Helper()
	p, err := pkgfile.OpenFile(w.path("out/" + name + "-1.0.0-1.x86_64.ashlar"))
	check(w, err)
	w.Cleanup(func() { p.Close() })
	check(w, p.Verify(w.Context()))
	return p
}

// TestLimits is S17: whoever takes too much is stopped, told how to get more,
// and leaves nothing behind.
func TestLimits(t *testing.T) {
	each(t, func(w *world) {
		for _, c := range []struct {
			act, limits string
			want        []string
		}{
			{"bomb", "processes: 60", []string{"processes"}},
			{"fill, $BUILDDIR", "disk: 64MiB", []string{"disk"}},
			{"fill, $DESTDIR", "disk: 64MiB", []string{"disk"}},
			{"inodes, $BUILDDIR", "disk: 16MiB", []string{"disk"}},
			{"eat", "memory: 256MiB", []string{"memory"}},
			{"flood", "log: 1MiB", []string{"log"}},
			{"silent", "silence: 1s", []string{"silence"}},
			{"hold", "time: 1s", []string{"time"}},
		} {
			w.sub("S17 "+c.act, func(w *world) {
				t := w.T

				name, arg, _ := strings.Cut(c.act, ", ")
				w.recipe("greedy", "build: {strip: false, debug: false, limits: {"+c.limits+"}}\nphases:\n  install:\n    - run: probe "+name+" "+arg+"\n")
				start := time.Now()
				w.refused("greedy", append(c.want, "build.limits")...)
				if took := time.Since(start); took > 60*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		}
	})
}

func TestOutput(t *testing.T) {
	each(t, func(w *world) {
		w.sub("S19 links and devices in what was installed", func(w *world) {
			t := w.T

			w.write("recipes/out/input", "an input\n")
			w.recipe("out", "build: {strip: false, debug: false}\npackages: [{name: out, files: ['/**']}]\nlint: {allow: [{id: broken-symlink, reason: test}]}\n"+
				"phases:\n  install:\n    - exec: [probe, out, "+w.path("canary")+"]\n")
			acts, _ := report(w.built("out"))
			denied(t, acts, "hard link to a source", "hard link to the root", "device")
			m := w.pkg("out").Manifest()
			for name, target := range map[string]string{"passwd": "/etc/passwd", "canary": w.path("canary/secret"), "folder": w.path("canary")} {
				f := m.File("usr/share/out/" + name)
				if f == nil || f.Type != pkgfile.TypeSymlink || f.Target != target {
					t.Errorf("%s: %+v", name, f)
				}
			}
			for _, f := range m.Files {
				if len(f.Xattrs) > 0 || f.Mode&0o7000 != 0 {
					t.Errorf("%+v", f)
				}
			}
			w.recipe("setuid", "build: {strip: false, debug: false}\nphases:\n  install:\n    - run: |\n        mkdir -p $DESTDIR/usr/bin\n        cp /usr/bin/probe $DESTDIR/usr/bin/x\n        chmod 4755 $DESTDIR/usr/bin/x\n")
			w.refused("setuid", "/usr/bin/x was installed setuid")
		})
		w.sub("S22 links where the tool writes", func(w *world) {
			t := w.T

			// The log, the result and what is divided off have names that a build
			// could try to be at first; it reaches none of them but through these.
			w.recipe("planted", "phases:\n  install:\n    - run: |\n        mkdir -p $DESTDIR/usr/lib $DESTDIR/usr/bin\n        cp /usr/bin/probe $DESTDIR/usr/bin/x\n"+
				"        ln -s "+w.path("canary")+" $DESTDIR/usr/lib/debug\n        ln -s "+w.path("canary")+" $BUILDDIR/log\n        rm -rf /build/* || true\n        ln -s "+w.path("canary")+" /build/objects || true\n")
			w.build("planted") // may be refused
			entries, err := os.ReadDir(w.path("canary"))
			if err != nil || len(entries) != 1 {
				t.Errorf("the canary's folder: %v, %v", entries, err)
			}
			w.clean()
		})
		w.sub("S21 two builds at a time", func(w *world) {
			t := w.T

			w.act("server", "", "listen")
			w.act("client", "", "talk")
			out, err := w.build("server", "client", "--parallel", "2")
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			offered, _ := report(w.log("server"))
			met, _ := report(w.log("client"))
			for _, way := range []string{"tmp", "shm", "var", "sysv", "abstract", "tcp"} {
				if offered["offer "+way] != "possible" && way != "var" {
					t.Errorf("offer %s: %q: the test tries nothing", way, offered["offer "+way])
				}
				denied(t, met, "meet "+way)
			}
		})
	})
}

// TestElsewhere is S33: the same bytes whoever builds, and where.
func TestElsewhere(t *testing.T) {
	each(t, func(w *world) {
		w.recipe("same", "build: {strip: false, debug: false}\nlint: {allow: [{id: build-path, reason: it tells what it saw}]}\nphases:\n  install:\n    - run: |\n        mkdir -p $DESTDIR/usr/share\n        for v in PWD HOME USER TZ LANG SRCDIR BUILDDIR DESTDIR; do echo \"$v ${!v}\"; done > $DESTDIR/usr/share/same\n"+
			"        cat /etc/passwd /proc/sys/kernel/hostname >> $DESTDIR/usr/share/same\n        umask >> $DESTDIR/usr/share/same\n")
		cmd := w.command("build", "verify", "same")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "same: the same") {
			w.Errorf("S33: %v\n%s", err, out)
		}
	})
}

// TestNoSandbox is S34: without user namespaces nothing is built.
func TestNoSandbox(t *testing.T) {
	each(t, func(w *world) {
		w.act("never", "", "look")
		w.own()
		cmd := w.command("build", "--out", "out", "never")
		// In a user namespace that allows no further ones.
		script := "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\""
		wrapped := exec.CommandContext(w.Context(), "unshare", append([]string{"-Ur", "sh", "-c", script, "sh"}, cmd.Args...)...)
		wrapped.Dir, wrapped.Env, wrapped.SysProcAttr = cmd.Dir, cmd.Env, cmd.SysProcAttr
		out, err := wrapped.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "allow user namespaces") {
			t.Errorf("S34: %v\n%s", err, out)
		}
		if strings.Contains(w.log("never"), "ACT") {
			t.Error("S34: the recipe's commands ran")
		}
	})
}
