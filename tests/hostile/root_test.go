package hostile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// second is the version of base that the roots are brought to: new content in
// every kind of place, and a changed configuration file.
func second() *pkg {
	return &pkg{name: "base", version: "2.0.0", members: []member{
		dir("etc"), file("etc/base.conf", "theirs\n").claims("config", true), dir("usr"), dir("usr/bin"), file("usr/bin/base", "base 2\n"),
		dir("var"), dir("var/lib"), file("var/lib/base", "state\n")}}
}

// TestPlantedRoots works on roots in which somebody who may write there has put
// what leads out, hangs or lies. Whatever the commands do, they touch nothing
// outside, end, and say what is wrong.
func TestPlantedRoots(t *testing.T) {
	link := func(path, target string) func(w *world) {
		return func(w *world) { w.plant(path); w.must(os.Symlink(target, filepath.Join(w.root, path))) }
	}
	fifo := func(path string) func(w *world) {
		return func(w *world) { w.plant(path); w.must(unix.Mkfifo(filepath.Join(w.root, path), 0o644)) }
	}
	device := func(path string) func(w *world) {
		return func(w *world) {
			w.plant(path)
			if err := unix.Mknod(filepath.Join(w.root, path), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
				w.must(unix.Mkfifo(filepath.Join(w.root, path), 0o644)) // an ordinary user makes no devices
			}
		}
	}
	socket := func(path string) func(w *world) {
		return func(w *world) {
			w.plant(path)
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			w.must(err)
			defer unix.Close(fd)
			w.must(os.Chdir(filepath.Dir(filepath.Join(w.root, path)))) // an address is short
			w.must(unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Base(path)}))
		}
	}
	huge := func(path string) func(w *world) {
		return func(w *world) {
			w.plant(path)
			w.must(os.WriteFile(filepath.Join(w.root, path), nil, 0o644))
			w.must(os.Truncate(filepath.Join(w.root, path), 1<<40))
		}
	}
	text := func(path, content string) func(w *world) {
		return func(w *world) {
			w.plant(path)
			w.must(os.WriteFile(filepath.Join(w.root, path), []byte(content), 0o644))
		}
	}
	for _, c := range []struct {
		name  string
		empty bool // the root has no system yet
		plant func(w *world)
	}{
		{"etc leads out", false, link("etc", "../outside")},
		{"etc leads out by an absolute link", true, link("etc", "/proc/self/cwd/outside")},
		{"usr leads out", true, link("usr", "../outside")},
		{"usr leads out of a system", false, link("usr", "../outside")},
		{"usr is a link inside", false, func(w *world) {
			w.must(os.Rename(filepath.Join(w.root, "usr"), filepath.Join(w.root, "real")))
			w.must(os.Symlink("real", filepath.Join(w.root, "usr")))
		}},
		{"var leads out", true, link("var", "../outside")},
		{"var/lib leads out", true, link("var/lib", "../../outside")},
		{"usr/bin leads out", false, link("usr/bin", "../../outside")},
		{"configuration file leads out", false, link("etc/base.conf", "../../outside/secret")},
		{"new configuration file leads out", false, func(w *world) {
			w.must(os.WriteFile(filepath.Join(w.root, "etc/base.conf"), []byte("edited\n"), 0o644))
			link("etc/base.conf.new", "../../outside/secret")(w)
		}},
		{"our records lead out", true, link(".ashlar", "../outside")},
		{"our records lead out of a system", false, link(".ashlar", "../outside")},
		{"lock leads out", false, link(".ashlar/lock", "../../outside/secret")},
		{"lock is a FIFO", false, fifo(".ashlar/lock")},
		{"lock is a device", false, device(".ashlar/lock")},
		{"lock is a folder", false, func(w *world) {
			w.plant(".ashlar/lock")
			w.must(os.Mkdir(filepath.Join(w.root, ".ashlar/lock"), 0o755))
		}},
		{"current leads out", false, link(".ashlar/current", "../../outside")},
		{"current is a FIFO", false, fifo(".ashlar/current")},
		{"current is a word", false, link(".ashlar/current", "generations/../../..")},
		{"generations lead out", false, link(".ashlar/generations", "../../outside")},
		{"generation is a FIFO", false, fifo(".ashlar/generations/1/generation.json")},
		{"generation is a device", false, device(".ashlar/generations/1/generation.json")},
		{"generation is a tebibyte", false, huge(".ashlar/generations/1/generation.json")},
		{"generation is nonsense", false, text(".ashlar/generations/1/generation.json", "{")},
		{"path index is a FIFO", false, fifo(".ashlar/generations/1/paths")},
		{"path index is nonsense", false, text(".ashlar/generations/1/paths", strings.Repeat("\xff", 4096))},
		{"base texts are nonsense", false, text(".ashlar/generations/1/config.json", `{"format":1,"bases":{"../../outside/secret":"00"}}`)},
		{"manifests lead out", false, link(".ashlar/manifests", "../../outside")},
		{"store leads out", false, link(".ashlar/store", "../../outside")},
		{"store's mark is a FIFO", false, fifo(".ashlar/store/.open")},
		{"trees lead out", false, link(".ashlar/trees", "../../outside")},
		{"spare tree leads out", false, link(".ashlar/trees/spare/usr", "../../../../outside")},
		{"staging leads out", false, link(".ashlar/staging", "../../outside")},
		{"saved leads out", false, link(".ashlar/saved", "../../outside")},
		{"journal is a FIFO", false, fifo(".ashlar/journal.json")},
		{"journal wants to write outside", false, text(".ashlar/journal.json", `{"format":1,"operations":[{"kind":"rename","from":"staging/0","path":"../outside/secret"},{"kind":"remove","path":"../outside/folder/x"}]}`)},
		{"journal is a tebibyte", false, huge(".ashlar/journal.json")},
		{"identity of the tree leads out", false, link("usr/lib/ashlar/tree", "../../../../outside/secret")},
		{"identity of the tree is a FIFO", false, fifo("usr/lib/ashlar/tree")},
		{"configuration file is a FIFO", false, fifo("etc/base.conf")},
		{"configuration file is a device", false, device("etc/base.conf")},
		{"configuration file is a socket", false, socket("etc/base.conf")},
		{"program is a FIFO", false, fifo("usr/bin/base")},
		{"accounts are a FIFO", false, fifo("etc/passwd")},
		{"accounts lead out", false, link("etc/passwd", "../../outside/secret")},
		{"accounts are a tebibyte", false, huge("etc/passwd")},
		{"repositories lead out", false, link("etc/pkgtool", "../../outside")},
		{"repository is a FIFO", false, fifo("etc/pkgtool/repositories.d/x.yaml")},
		{"world file is a FIFO", false, fifo("etc/pkgtool/world")},
		{"cache leads out", false, link("var/cache", "../../outside")},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if !c.empty {
				w.base()
			}
			c.plant(w)
			upgrade := w.write(second().bytes(t, w.key))
			w.untouched([]string{w.outside}, func() {
				for _, args := range [][]string{
					{"list"}, {"verify"}, {"owns", "/usr/bin/base"}, {"history"}, {"config", "list"}, {"doctor"},
					{"install", "--yes", "--trust", "trusted.asc", upgrade}, {"verify", "--repair"}, {"rollback", "--yes"}, {"clean"}, {"remove", "--yes", "base"},
				} {
					r := w.pkgtool(args...)
					w.bounded(r)
					if r.code != 0 && strings.TrimSpace(r.stderr+r.stdout) == "" || r.code < 0 || strings.Contains(r.stderr, "goroutine ") {
						t.Errorf("%v: exit code %d: %q", args, r.code, r.stderr)
					}
				}
			})
		})
	}
}

// plant makes room for something at path: its folder, and nothing in its place.
func (w *world) plant(path string) {
	w.t.Helper()
	full := filepath.Join(w.root, path)
	w.must(os.MkdirAll(filepath.Dir(full), 0o755))
	w.must(os.RemoveAll(full))
}

// TestMountedRoots: what is mounted in a root is another's, or cannot be written.
func TestMountedRoots(t *testing.T) {
	for _, c := range []struct{ name, mount string }{
		{"another file system over usr", "mount -t tmpfs none root/usr"},
		{"outside over usr/bin", "mount --bind outside root/usr/bin"},
		{"another folder over etc", "mkdir other && mount --bind other root/etc"},
		{"outside over a file", "mount --bind outside/secret root/usr/bin/base"},
		{"read-only over usr", "mount --bind root/usr root/usr && mount -o remount,bind,ro root/usr"},
		{"read-only over var", "mount --bind root/var root/var && mount -o remount,bind,ro root/var"},
		{"read-only over our records", "mount --bind root/.ashlar root/.ashlar && mount -o remount,bind,ro root/.ashlar"},
		{"another file system over our records' folder", "mount -t tmpfs none root/.ashlar/staging || mount -t tmpfs none root/.ashlar/manifests"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t).base()
			w.must(os.MkdirAll(filepath.Join(w.root, "var"), 0o755))
			upgrade := w.write(second().bytes(t, w.key))
			w.untouched([]string{w.outside}, func() {
				script := c.mount + ` && for c in "install --yes --trust trusted.asc ` + upgrade + `" verify "remove --yes base"; do "$0" --root root $c || echo "exit code $?"; done`
				cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, os.Args[0])
				cmd.Dir = w.dir
				cmd.Env = append(os.Environ(), "HOSTILE_PEAK="+filepath.Join(w.dir, "peak"), "HOME="+w.dir, "ASHLAR_CACHE="+filepath.Join(w.dir, "cache"), "ASHLAR_KEYS="+filepath.Join(w.dir, "keys"))
				cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
				out, err := cmd.CombinedOutput()
				if err != nil || strings.Contains(string(out), "goroutine ") {
					t.Errorf("%v\n%s", err, out)
				}
				if strings.Contains(string(out), "not finished") {
					t.Errorf("what cannot be done was found out after the commit:\n%s", out)
				}
			})
		})
	}
}
