package attack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
	"ashlar/signing"
)

// publisherAttacks are those by whom a system trusts for some packages: a
// repository of low priority, or one whose keys are all stolen. There is no
// mirror to name; a good one behind changes nothing unless it is of another
// repository.
var publisherAttacks = []attack{
	{id: 8, name: "downgrade by index", run: downgradeByIndex},
	{id: 17, name: "extraneous dependencies", mirrors: func(w *world) []evil {
		// Without the keys, the index is not the one that was signed.
		other := w.forge(w.present, func(f *forger) {
			f.text(func(d []byte) []byte {
				return bytes.ReplaceAll(d, []byte(`"vendor"`), []byte(`"requires":["base"],"vendor"`))
			})
		})
		return []evil{{name: "an added dependency", kind: tampered, file: "index/", rules: at("stable.x86_64", fixed(w.indexOf(other)))}}
	}, run: disagreeingIndex},
	{id: 19, name: "hijacked names", run: hijackedNames},
	{id: 20, name: "unsatisfiable or exponential dependencies", run: hardDependencies},
	{id: 28, name: "traversal in names", mirrors: func(w *world) []evil {
		return []evil{{name: "a file name in a header", rules: at("", func(x *exchange) {
			x.Header().Set("Content-Disposition", `attachment; filename="../../../../etc/evil"`)
			x.Header().Set("Content-Location", "/../../etc/evil")
			honest(x)
		})}}
	}, run: traversal},
}

// downgradeByIndex: a newer state that was signed has only older packages. They
// are not taken unless a person names them, and then the plan says downgrade.
func downgradeByIndex(w *world, behind bool) {
	dir := w.forge(w.present, func(f *forger) {
		f.entries(func(all []index.Entry) (kept []index.Entry) {
			for _, e := range all {
				if e.Name != "base" || e.Version != "2.0.0" {
					kept = append(kept, e)
				}
			}
			return kept
		})
	})
	w.vouch(dir)
	w.defineWith(behind, w.good(dir))
	for _, args := range [][]string{{"upgrade", "--yes"}, {"upgrade", "--yes", "base"}, {"install", "--yes", "base"}} {
		r := w.untouched(func() result { return w.pkgtool(args...) })
		w.ended(r, done, "nothing to do")
	}
	r := w.untouched(func() result { return w.pkgtool("upgrade", "--dry-run") })
	if strings.Contains(r.stdout, "1.0.0") {
		w.t.Errorf("the plan has it: %s", r)
	}
	w.ended(w.pkgtool("downgrade", "--yes", "base"), done, "downgrade base 2.0.0-1 -> 1.0.0-1")
	w.ended(w.pkgtool("list"), done, "1.0.0-1")
}

// disagreeingIndex: with the keys, the index says of a package what that does not
// say of itself.
func disagreeingIndex(w *world, behind bool) {
	for field, change := range map[string]func(e *index.Entry){
		"requires":       func(e *index.Entry) { e.Requires = []string{"base"} },
		"provides":       func(e *index.Entry) { e.Provides = append(e.Provides, "libc") },
		"conflicts":      func(e *index.Entry) { e.Conflicts = []string{"nothing"} },
		"vendor":         func(e *index.Entry) { e.Vendor = "somebody" },
		"epoch":          func(e *index.Entry) { e.Epoch = 9 },
		"installed_size": func(e *index.Entry) { e.InstalledSize = 1 },
	} {
		w.publishedWrong(behind, field+" is", func(_ *forger, app *index.Entry, _ []index.Entry) { change(app) })
	}
}

// repository makes and serves another repository, of packages that it signed
// itself, and defines it with more lines.
func (w *world) repository(name string, lines []string, packages map[string]func(*pkgfile.Manifest)) (url string) {
	w.t.Helper()
	return w.repositoryOf(name, lines, func(f *forger) (entries []index.Entry) {
		for id, edit := range packages {
			path, err := w.pack(id, w.packager, edit)
			w.must(err)
			entries = append(entries, f.adopt(path))
		}
		return entries
	})
}

// repositoryOf is repository for packages of which there need not be more than
// what the index says.
func (w *world) repositoryOf(name string, lines []string, entries func(f *forger) []index.Entry) (url string) {
	w.t.Helper()
	dir := w.forge(w.present, func(f *forger) {
		f.entries(func([]index.Entry) []index.Entry { return entries(f) })
		delete(f.tg.Signed.Targets, strings.Replace(stable, "x86_64", "noarch", 1))
	})
	w.vouch(dir)
	url = w.good(dir)
	w.write(w.in("etc/pkgtool/trust/"+name+"/root.json"), w.pinned)
	w.write(w.in("etc/pkgtool/repositories.d/"+name+".yaml"), []byte(definition(name, append(lines, w.settings...), url)))
	return url
}

// adopt puts a package file into the pool and returns its entry.
func (f *forger) adopt(path string) index.Entry {
	f.w.t.Helper()
	data := f.w.read(path)
	p, err := pkgfile.Open(bytes.NewReader(data), int64(len(data)))
	f.w.must(err)
	defer p.Close()
	e := index.FromPackage(p, int64(len(data)), sum(data))
	f.write(e.Path, data)
	return e
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// hijackedNames: a repository of low priority offers what another one has, newer,
// or something that provides or replaces it.
func hijackedNames(w *world, behind bool) {
	evilVendor := func(edit func(*pkgfile.Manifest)) func(*pkgfile.Manifest) {
		return func(m *pkgfile.Manifest) {
			m.Vendor = "evil.example"
			if edit != nil {
				edit(m)
			}
		}
	}
	w.repository("low", []string{"priority: 10"}, map[string]func(*pkgfile.Manifest){
		"base-9.0.0-1":  evilVendor(func(m *pkgfile.Manifest) { m.Epoch = 99 }),
		"app-9.0.0-1":   evilVendor(func(m *pkgfile.Manifest) { m.Epoch = 99 }),
		"other-1.0.0-1": evilVendor(func(m *pkgfile.Manifest) { m.Provides = []string{"base =99", "app =99", "cmd(app)"} }),
		"thief-1.0.0-1": evilVendor(func(m *pkgfile.Manifest) {
			m.Replaces = []string{"base", "app"}
			m.Provides = []string{"base =99", "app =99"}
		}),
	})
	if behind {
		w.define(w.good(w.present))
	} else { // the repository that base came from is not there any more
		w.must(os.Remove(w.in("etc/pkgtool/repositories.d/test.yaml")))
	}
	for _, args := range [][]string{{"upgrade", "--yes"}, {"upgrade", "--yes", "base"}} {
		r := w.untouched(func() result { return w.pkgtool(args...) })
		if r.code != done && r.code != heldBack {
			w.t.Errorf("%s", r)
		}
		if behind {
			continue
		}
	}
	if behind {
		w.ended(w.pkgtool("install", "--yes", "app"), done, "(test, requested")
		w.installed()
		r := w.untouched(func() result { return w.pkgtool("upgrade", "--yes") })
		if strings.Contains(r.stdout+r.stderr, "thief") && r.code == done {
			w.t.Errorf("%s", r)
		}
	}
	// Whoever allows it is told.
	r := w.untouched(func() result {
		return w.pkgtool("upgrade", "--dry-run", "--allow-vendor-change", "base")
	})
	if behind {
		// The priority still forbids it.
		if r.code != heldBack || !strings.Contains(r.stdout, "nothing to do") {
			w.t.Errorf("%s", r)
		}
		w.must(os.Remove(w.in("etc/pkgtool/repositories.d/test.yaml")))
		r = w.untouched(func() result {
			return w.pkgtool("upgrade", "--dry-run", "--allow-vendor-change", "base")
		})
	}
	w.ended(r, done, "vendor example.org -> evil.example")
}

// hardDependencies: dependencies that no solver can decide in the time of the
// universe, or very many of them. Time and memory are bounded, and everything
// else goes on.
func hardDependencies(w *world, behind bool) {
	// More pigeons than holes: each pigeon sits in some hole, no two in the same.
	const holes = 10
	packages := map[string]func(*pkgfile.Manifest){
		"nice-1.0.0-1": nil,
		"flock-1.0.0-1": func(m *pkgfile.Manifest) {
			for pigeon := range holes + 1 {
				m.Requires = append(m.Requires, fmt.Sprintf("pigeon%d", pigeon))
			}
		},
	}
	for pigeon := range holes + 1 {
		for hole := range holes {
			packages[fmt.Sprintf("sits%din%d-1.0.0-1", pigeon, hole)] = func(m *pkgfile.Manifest) {
				m.Provides = []string{fmt.Sprintf("pigeon%d", pigeon), fmt.Sprintf("hole%d", hole)}
				m.Conflicts = []string{fmt.Sprintf("hole%d", hole)}
			}
		}
	}
	w.repository("hard", nil, packages)
	if behind {
		w.define(w.good(w.present))
	} else {
		w.must(os.Remove(w.in("etc/pkgtool/repositories.d/test.yaml")))
	}
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "--solve-timeout", "3s", "flock") })
	if r.code != failed && r.code != 3 {
		w.t.Errorf("%s", r)
	}
	if !strings.Contains(r.stderr, "flock") && !strings.Contains(r.stderr, "time") {
		w.t.Errorf("no readable reason: %s", r)
	}
	w.ended(w.pkgtool("install", "--yes", "nice"), done)
	w.ended(w.pkgtool("list"), done, "nice")
	if behind {
		w.ended(w.pkgtool("install", "--yes", "app"), done)
		w.installed()
	}
	w.ended(w.pkgtool("remove", "--yes", "nice"), done)

	w.repositoryOf("vast", nil, vastIndex)
	r = w.untouched(func() result { return w.pkgtool("install", "--yes", "--solve-timeout", "10s", "many >=2") })
	w.ended(r, 3, "many >=2")
	r = w.untouched(func() result { return w.pkgtool("install", "--yes", "--solve-timeout", "10s", "fork0") })
	if r.code != 3 && r.code != failed {
		w.t.Errorf("%s", r)
	}
	w.ended(w.pkgtool("install", "--yes", "nice"), done)
}

// vastIndex has very many builds of one name, and a chain of alternatives that
// leads nowhere.
func vastIndex(f *forger) (entries []index.Entry) {
	listed := func(name, version string, requires ...string) {
		hash := sum([]byte(name + version))
		e := index.Entry{Name: name, Version: version, Release: 1, Arch: "x86_64", Requires: requires, Size: 1000, SHA256: hash, Manifest: hash, MetaSize: 500}
		e.Path = e.PoolPath()
		entries = append(entries, e)
	}
	for i := range 8_000 {
		listed("many", fmt.Sprintf("1.%d.%d", i/100, i%100))
	}
	const depth = 200
	for i := range depth {
		for _, side := range []string{"fork", "branch"} {
			listed(fmt.Sprintf("%s%d", side, i), "1.0.0", fmt.Sprintf("fork%d | branch%d", i+1, i+1))
		}
	}
	listed(fmt.Sprintf("fork%d", depth), "1.0.0", "nowhere")
	listed(fmt.Sprintf("branch%d", depth), "1.0.0", "nowhere")
	return entries
}

// traversal: with all keys, names that would lead out of the cache or the pool.
func traversal(w *world, behind bool) {
	outside := filepath.Join(w.dir, "outside")
	w.write(outside, []byte("precious\n"))
	var states []string
	for _, name := range []string{"../../../../../../outside", "/etc/passwd", "..", ".", "a/../../b", `..\..\x`, "%2e%2e%2fx", "a\x00b", "a?b", "a#b", strings.Repeat("a", 300), "a\nb", ""} {
		for _, field := range []string{"path", "name", "version", "sha256", "arch"} {
			change := func(text []byte) []byte { return setField(text, field, name) }
			states = append(states, w.forge(w.present, func(f *forger) {
				f.ts.Signed.Version += int64(len(states)) // not two contents of one version
				f.text(change)
			}))
		}
	}
	// One command meets up to 60 of them, each a mirror with its own state.
	for i := 0; i < len(states); i += 60 {
		var urls []string
		for _, dir := range states[i:min(i+60, len(states))] {
			w.vouch(dir)
			urls = append(urls, w.good(dir))
		}
		w.defineWith(behind, urls...)
		if behind {
			w.ended(w.pkgtool("refresh"), done)
			continue
		}
		r := w.untouched(func() result { return w.pkgtool("refresh") })
		w.ended(r, refused)
		for _, u := range urls {
			w.named(r, u, evil{name: u, kind: anySecurity, file: "index/"})
		}
	}
	if behind {
		w.ended(w.pkgtool("install", "--yes", "app"), done)
		w.installed()
	}
	if string(w.read(outside)) != "precious\n" {
		w.t.Error("something outside changed")
	}
	// The names that a person gives.
	for _, name := range []string{"../x", "a/b", "%2e", "a\x1bb", strings.Repeat("a", 300)} {
		r := w.pkgtool("remote", "add", name, "http://127.0.0.1:1/", "--fingerprint", strings.Repeat("0", 64))
		w.ended(r, usage)
	}
}

// setField changes a field of the first package in an index.
func setField(text []byte, field, value string) []byte {
	lines := bytes.SplitAfterN(text, []byte("\n"), 3)
	key := fmt.Sprintf("%q:", field)
	before, rest, found := bytes.Cut(lines[1], []byte(key))
	if !found {
		panic("no " + field)
	}
	_, after, _ := bytes.Cut(rest[1:], []byte(`"`))
	quoted := strings.NewReplacer(`\x00`, `\u0000`).Replace(fmt.Sprintf("%q", value))
	lines[1] = fmt.Appendf(nil, "%s%s%s%s", before, key, quoted, after)
	return bytes.Join(lines, nil)
}

// unsignedPackage: with all keys of the metadata, but no packager's, an index
// names a package without signature, or signed by somebody of the same name.
func unsignedPackage(w *world, behind bool) {
	for _, signer := range []*signing.PrivateKey{nil, w.stranger} {
		w.fresh()
		dir := w.forge(w.present, func(f *forger) {
			path, err := w.pack("app-1.1.0-1", signer, nil)
			w.must(err)
			f.entries(func(all []index.Entry) []index.Entry { return append(all, f.adopt(path)) })
		})
		w.vouch(dir)
		w.defineWith(behind, w.good(dir))
		r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
		w.ended(r, refused, unsigned, "app-1.1.0-1")
		w.ended(w.pkgtool("install", "--yes", "app@1.0.0-1"), done)
		w.installed()
	}
}

// transplantedIndex: with all keys, an index of another channel or arch in the
// place of this one: an index says what it is of.
func transplantedIndex(w *world, behind bool) {
	for _, change := range []func([]byte) []byte{replace(`"channel":"stable"`, `"channel":"testing"`), replace(`"arch":"x86_64"`, `"arch":"noarch"`), replace(`"ashlar_index":1`, `"ashlar_index":2`)} {
		w.fresh()
		dir := w.forge(w.present, func(f *forger) { f.text(change) })
		w.vouch(dir)
		e := evil{name: "transplanted", kind: lying, file: "index/", dir: dir}
		url := w.place([]evil{e})[0]
		w.defineWith(behind, url)
		if behind {
			r := w.pkgtool("install", "--yes", "app")
			w.ended(r, done)
			w.named(r, url, e)
			w.installed()
			continue
		}
		r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
		w.ended(r, refused)
		w.named(r, url, e)
	}
}
