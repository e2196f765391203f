package hostile

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

func linkFixtures() []fixture {
	return []fixture{
		{20, "through a symlink to outside", good(symlink("d", "/outside"), file("d/x", "evil")), "its folder", nil},
		{21, "through a symlink that climbs", good(symlink("d", "../outside"), file("d/x", "evil")), "climbs above the root", nil},
		{21, "a symlink that climbs by a detour", good(symlink("d", "a/../../outside")), "climbs above the root", nil},
		{22, "chain of symlinks", good(symlink("cur", "."), symlink("par", "cur/.."), file("par/x", "evil")), "its folder", nil},
		{23, "symlink below a symlink", good(symlink("cur", "."), symlink("cur/par", ".."), file("par/x", "evil")), "its folder", nil},
		{24, "planted by another package, absolute", nil, "", func(w *world) {
			w.install(&pkg{name: "planter", version: "1.0.0", members: []member{symlink("opt", w.outside)}})
			w.refusedOrInside(&pkg{name: "writer", version: "1.0.0", members: []member{file("opt/secret", "evil")}})
		}},
		{24, "planted by another package, to the folder that leads out", nil, "", func(w *world) {
			w.must(os.Symlink(w.outside, filepath.Join(w.root, "mnt")))
			w.install(&pkg{name: "planter", version: "1.0.0", members: []member{symlink("opt", "mnt")}})
			w.refusedOrInside(&pkg{name: "writer", version: "1.0.0", members: []member{file("opt/secret", "evil")}})
		}},
		{25, "symlink of the administrator to outside", nil, "", func(w *world) {
			w.must(os.Symlink("../outside", filepath.Join(w.root, "opt")))
			w.refusedOrInside(&pkg{name: "writer", version: "1.0.0", members: []member{file("opt/secret", "evil")}})
		}},
		{25, "symlink of the administrator in the middle", nil, "", func(w *world) {
			w.must(os.MkdirAll(filepath.Join(w.root, "opt"), 0o755))
			w.must(os.Symlink(w.outside, filepath.Join(w.root, "opt/deep")))
			w.refusedOrInside(&pkg{name: "writer", version: "1.0.0", members: []member{file("opt/deep/folder/x", "evil")}})
		}},
		{25, "symlink in place of the file", nil, "", func(w *world) {
			w.must(os.Symlink(filepath.Join(w.outside, "secret"), filepath.Join(w.root, "motd")))
			w.refusedOrInside(&pkg{name: "writer", version: "1.0.0", members: []member{file("motd", "evil")}})
		}},
		{26, "symlink and folder of one name", good(symlink("d", "a"), dir("d")), "twice", nil},
		{26, "symlink becomes a folder", nil, "", func(w *world) { w.changes(symlink("opt", "usr"), file("opt/x", "new")) }},
		{26, "folder becomes a symlink", nil, "", func(w *world) { w.changes(file("opt/x", "old"), symlink("opt", "usr")) }},
		{26, "file becomes a folder", nil, "", func(w *world) { w.changes(file("opt", "old"), file("opt/x", "new")) }},
		{26, "folder becomes a file", nil, "", func(w *world) { w.changes(file("opt/x", "old"), file("opt", "new")) }},
		{27, "hard link to an absolute path", good(hardlink("l", "/etc/shadow")), "absolute", nil},
		{27, "in the archive alone", good(hardlink("l", "a/f").archived(header{name: "l", kind: '1', link: "/etc/shadow"}.bytes())), "header differs", nil},
		{28, "hard link out", good(hardlink("l", "../outside/secret")), "not clean", nil},
		{29, "hard link to a symlink that leads out", good(symlink("d", "/outside/secret"), hardlink("l", "d")), "not a file standing before", nil},
		{30, "hard link to what comes later", good(hardlink("l", "z"), file("z", "late")), "not a file standing before", nil},
		{30, "hard link to nothing", good(hardlink("l", "none")), "not a file standing before", nil},
		{31, "hard link with content", good(member{says: hardlink("l", "a/f").says.with("size", 4), header: header{name: "l", kind: '1', link: "a/f", size: octal(12, 4)}.bytes(), content: []byte("evil")}), "nothing but a target", nil},
		{31, "in the archive alone", good(hardlink("l", "a/f").archived(header{name: "l", kind: '1', link: "a/f", size: octal(12, 4)}.bytes())), "header differs", nil},
		{32, "hard link to another package's file", good(hardlink("z", "usr/bin/base")), "not a file standing before", nil},
		{32, "hard link with a mode of its own", good(hardlink("l", "a/f").claims("mode", 0o4777)), "nothing but a target", nil},
		{33, "hard link to itself", good(hardlink("l", "l")), "not a file standing before", nil},
		{33, "hard links in a circle", good(hardlink("l", "m"), hardlink("m", "l")), "not a file standing before", nil},
		{34, "symlink longer than a path", good(symlink("l", strings.Repeat("x/", 2100))), "more than the 4095", nil},
		{34, "symlink of 300 folders", good(symlink("l", strings.Repeat("x/", 300))), "folders deep", nil},
		{34, "climbs after a long way", good(symlink("l", strings.Repeat("x/", 100)+strings.Repeat("../", 101)+"outside")), "folders deep", nil},
		{35, "into /proc/self/root", good(file("proc/self/root/x", "evil")), "below /proc", nil},
		{35, "into /proc/self/fd", good(file("proc/self/fd/3", "evil")), "below /proc", nil},
		{35, "into /dev/fd", good(file("dev/fd/3", "evil")), "below /dev", nil},
		{35, "through a symlink into /proc", nil, "", func(w *world) {
			w.must(os.Symlink("/proc/self/root"+w.outside, filepath.Join(w.root, "opt")))
			w.refusedOrInside(&pkg{name: "writer", version: "1.0.0", members: []member{file("opt/secret", "evil")}})
		}},
		{36, "folder exchanged for a symlink meanwhile", nil, "", func(w *world) { w.race() }},
	}
}

// refusedOrInside asks that installing p touches nothing outside, whether it is
// refused or done inside the root, and that a refusal is clear and changes
// nothing inside either.
func (w *world) refusedOrInside(p *pkg) {
	w.t.Helper()
	before := tree(w.t, w.root)
	w.untouched([]string{w.outside}, func() {
		r := w.try(p)
		w.bounded(r)
		switch {
		case r.code == 0:
			for _, m := range p.members { // where it should be, by a file of its own
				path := filepath.Join(w.root, m.says["path"].(string))
				if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
					w.t.Errorf("%s: %v %v", m.says["path"], info, err)
				}
			}
		case r.code < 0 || strings.TrimSpace(r.stderr) == "":
			w.t.Errorf("exit code %d: %q", r.code, r.stderr)
		default:
			w.untouchedSince(before)
		}
	})
}

// changes installs a package with one member, then a newer one with another in
// its place.
func (w *world) changes(old, new member) {
	w.t.Helper()
	w.untouched([]string{w.outside, filepath.Join(w.root, "usr/bin")}, func() {
		w.install(&pkg{name: "turncoat", version: "1.0.0", members: []member{old}})
		w.install(&pkg{name: "turncoat", version: "2.0.0", members: []member{new}})
		path := new.says["path"].(string)
		info, err := os.Lstat(filepath.Join(w.root, path))
		w.must(err)
		if link := info.Mode()&os.ModeSymlink != 0; link != (new.says["type"] == "symlink") {
			w.t.Errorf("%s is now a %v", path, info.Mode())
		}
		if got, err := os.ReadFile(filepath.Join(w.root, path)); new.says["type"] == "file" && (err != nil || string(got) != string(new.content)) {
			w.t.Errorf("%s: %q %v", path, got, err)
		}
	})
}

// race installs and removes into a folder that somebody exchanges for a symlink
// to outside all the time, some hundred thousand times in all.
func (w *world) race() {
	folder, link := filepath.Join(w.root, "opt"), filepath.Join(w.root, "trap")
	w.must(os.MkdirAll(filepath.Join(folder, "deep"), 0o755))
	w.must(os.Symlink(w.outside, link))
	w.must(os.Mkdir(filepath.Join(w.outside, "deep"), 0o755))
	var stop atomic.Bool
	var swaps atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			if unix.Renameat2(unix.AT_FDCWD, folder, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE) == nil {
				swaps.Add(1)
			}
		}
	}()
	installed := 0
	w.untouched([]string{w.outside}, func() {
		defer func() {
			stop.Store(true)
			<-done
		}()
		p := &pkg{name: "racer", version: "1.0.0"}
		for i := range 40 {
			p.members = append(p.members, file("opt/deep/"+string(rune('a'+i%26))+strings.Repeat("x", i/26), "evil"), file("opt/"+string(rune('a'+i%26))+strings.Repeat("y", i/26), "evil"))
		}
		p.sort()
		deadline := time.Now().Add(5 * time.Second)
		for time.Now().Before(deadline) || swaps.Load() < 1000 {
			if r := w.try(p); r.code == 0 {
				installed++
				w.pkgtool("remove", "--yes", "racer")
			}
		}
	})
	w.t.Logf("%d exchanges, %d installations done", swaps.Load(), installed)
}
