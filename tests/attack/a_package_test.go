package attack

import (
	"bytes"
	"strings"

	"ashlar/repo/index"

	"github.com/klauspost/compress/zstd"
)

// packageAttacks are those with other packages and indexes by who has no key.
var packageAttacks = []attack{
	{id: 1, name: "arbitrary package", mirrors: func(w *world) []evil {
		return []evil{
			{name: "a bit of the manifest", kind: tampered, file: "pool/", rules: at("pool/", edited(flip(0.001)))},
			{name: "a bit of all frames", kind: tampered, file: "pool/", rules: at("pool/", edited(func(d []byte) []byte {
				for i := 0; i < len(d); i += 500 {
					d[i] ^= 1
				}
				return d
			}))},
		}
	}, run: flippedContent},
	{id: 7, name: "downgrade of one package", mirrors: func(w *world) []evil {
		return []evil{{name: "the package before", kind: tampered, file: "pool/", rules: at("app-1.0.0", fixed(w.file(w.present, "pool/a/app/*app-0.9.0*")))}}
	}},
	{id: 18, name: "wrong package for a name", mirrors: func(w *world) []evil {
		return []evil{
			{name: "another package", kind: tampered, file: "pool/", rules: at("app-1.0.0", fixed(w.file(w.present, "pool/b/base/*base-2.0.0*")))},
			{name: "of another arch", kind: tampered, file: "pool/", rules: at("app-1.0.0", fixed(w.file(w.present, "pool/d/data/*")))},
			{name: "the same name, another build", kind: tampered, file: "pool/", rules: at("app-1.0.0", fixed(w.otherApp()))},
		}
	}, run: swappedInIndex},
	{id: 30, name: "verify before parse", mirrors: func(w *world) []evil {
		bomb := zeroBomb(w, 8<<30)
		size := len(w.indexOf(w.present))
		return []evil{
			{name: "a bomb as index", kind: tampered, file: "index/", rules: at("stable.x86_64", fixed(bomb))},
			{name: "a bomb of the right length", kind: tampered, file: "index/", says: "sha256", rules: at("stable.x86_64", fixed(append(bytes.Clone(bomb[:size-1]), 0)))},
			{name: "a bomb as keyring", kind: tampered, file: "keyring/", rules: at("keyring/", fixed(bomb))},
			{name: "a bomb as manifest", kind: tampered, file: "pool/", rules: at("app-1.0.0", edited(func(d []byte) []byte { return append(bomb[:len(d)/2:len(d)/2], d[len(d)/2:]...) }))},
		}
	}},
	{id: 31, name: "compression bombs", run: signedBomb},
}

// zeroBomb is a zstd file that becomes so many zero bytes.
func zeroBomb(w *world, size int64) []byte {
	w.t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	w.must(err)
	defer z.Close()
	piece := z.EncodeAll(make([]byte, 4<<20), nil)
	return bytes.Repeat(piece, int(size/(4<<20)))
}

// flippedContent: the manifest is right and one frame of the content is not.
func flippedContent(w *world, behind bool) {
	e := evil{name: "a bit of the content", kind: tampered, file: "pool/", says: "sha256", rules: at("pool/", edited(flip(0.5)))}
	if behind {
		w.helped([]evil{e})
	} else {
		w.alone([]evil{e})
	}
}

// swappedInIndex: an index that was signed names another package's file, or says
// other things of it than it says of itself.
func swappedInIndex(w *world, behind bool) {
	of := func(entries []index.Entry, name, version string) *index.Entry {
		for i := range entries {
			if entries[i].Name == name && entries[i].Version == version {
				return &entries[i]
			}
		}
		w.t.Fatalf("no %s %s", name, version)
		return nil
	}
	w.publishedWrong(behind, "name is", func(f *forger, app *index.Entry, all []index.Entry) {
		base := *of(all, "base", "2.0.0")
		app.SHA256, app.Size, app.Manifest, app.MetaSize = base.SHA256, base.Size, base.Manifest, base.MetaSize
	})
	w.publishedWrong(behind, "version is", func(f *forger, app *index.Entry, all []index.Entry) { app.Version = "1.0.1" })
	w.publishedWrong(behind, "arch is", func(f *forger, app *index.Entry, all []index.Entry) {
		_, noarch, err := index.Decode(bytes.NewReader(w.file(w.present, "index/*.noarch.zst")), index.Limits{})
		w.must(err)
		delete(f.tg.Signed.Targets, strings.Replace(stable, "x86_64", "noarch", 1))
		app.Name = "data"
		app.SHA256, app.Size, app.Manifest, app.MetaSize, app.Summary, app.Recipe = noarch[0].SHA256, noarch[0].Size, noarch[0].Manifest, noarch[0].MetaSize, noarch[0].Summary, noarch[0].Recipe
		app.Provides = noarch[0].Provides
	})
}

// publishedWrong publishes, with all keys, an index in which app is changed. The
// client refuses to install it, and says that it is the publisher's fault; no
// mirror can help, and the next state that is right can.
func (w *world) publishedWrong(behind bool, says string, change func(f *forger, app *index.Entry, all []index.Entry)) {
	w.t.Helper()
	w.fresh()
	name := "app"
	dir := w.forge(w.present, func(f *forger) {
		f.entries(func(all []index.Entry) []index.Entry {
			for i := range all {
				if all[i].Name == "app" && all[i].Version == "1.0.0" {
					e := &all[i]
					was := e.Path
					change(f, e, all)
					e.Path = e.PoolPath()
					name = e.Name
					if e.Path != was {
						f.write(e.Path, f.w.file(f.dir, "pool/*/*/"+e.SHA256[:16]+"*"))
					}
				}
			}
			return all
		})
	})
	w.vouch(dir)
	w.defineWith(behind, w.good(dir))
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", name) })
	w.ended(r, refused, lying, says, "repository test: package "+name)
	w.define(w.good(w.forge(dir, func(f *forger) {
		f.tg.Signed.Targets = w.open(w.present).tg.Signed.Targets
	})))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
}

// signedBomb: an index that was signed, with the keys, becomes 20 GiB.
func signedBomb(w *world, behind bool) {
	for name, data := range map[string][]byte{
		"zeros": zeroBomb(w, 20<<30),
		"one line": func() []byte {
			head := compress(w, []byte(`{"ashlar_index":1,"channel":"stable","arch":"x86_64","packages":1}`+"\n"+`{"name":"`))
			return append(head, bytes.Repeat(compress(w, []byte(strings.Repeat("a", 4<<20))), 2000)...)
		}(),
		"many lines": func() []byte {
			head := compress(w, []byte(`{"ashlar_index":1,"channel":"stable","arch":"x86_64","packages":1000000}`+"\n"))
			return append(head, bytes.Repeat(compress(w, []byte(strings.Repeat("{}\n", 1<<20))), 2000)...)
		}(),
	} {
		w.fresh()
		dir := w.forge(w.present, func(f *forger) { f.target(stable, data) })
		w.vouch(dir)
		url := w.good(dir)
		if behind {
			w.define(url, w.good(w.present))
			r := w.pkgtool("install", "--yes", "app")
			w.ended(r, done)
			w.named(r, url, evil{name: name, kind: lying, file: "index/"})
			w.installed()
			continue
		}
		w.define(url)
		r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
		w.ended(r, refused)
		w.named(r, url, evil{name: name, kind: lying, file: "index/"})
		w.define(w.good(w.forge(dir, func(f *forger) { f.tg.Signed.Targets = w.open(w.present).tg.Signed.Targets })))
		w.ended(w.pkgtool("install", "--yes", "app"), done)
		w.installed()
	}
}
