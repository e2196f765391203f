package attack

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
)

// Words for what is wrong with a mirror (docs/formats/repository.md).
const (
	tampered      = "tampered"
	expired       = "stale"
	old           = "old"
	rolledBack    = "rolled back"
	unsigned      = "not signed"
	lying         = "lying"
	contradictory = "contradictory"
	impostor      = "impostor"
	unreachable   = "unreachable"
	unbounded     = "out of bounds"

	anySecurity = "*" // any of the following
)

var securityKinds = []string{tampered, rolledBack, unsigned, lying, contradictory, impostor, unbounded}

// evil is a mirror that does something wrong.
type evil struct {
	name  string
	kind  string // what the message calls it; "" is nothing, what it does is harmless
	file  string // a part of the path that the message names
	says  string // a part of the explanation
	dir   string // the state that it otherwise serves; default the present one
	rules []rule
	url   string // of one that is no mirror{}
	whole bool   // it serves whole packages where parts are asked for: another one is preferred, without blame
	later string // the state of a good mirror that repairs the damage; default the present one
}

// at answers requests for paths with part so.
func at(part string, do answer) []rule { return []rule{{part, do}} }

// attack is one of the list. Either mirrors or run says what it is.
type attack struct {
	id      int
	name    string
	mirrors func(w *world) []evil
	// run is what else is to be tried; behind says that there is a good mirror too.
	run func(w *world, behind bool)
}

// judge tries one attack.
func (a *attack) judge(t *testing.T, https, behind bool) {
	if a.mirrors != nil {
		w := newWorld(t, https)
		for i, group := range grouped(a.mirrors(w)) {
			if i > 0 {
				w.fresh()
			}
			w.try(group, behind)
		}
	}
	if a.run != nil {
		a.run(newWorld(t, https), behind)
	}
}

// try tries a group of mirrors.
func (w *world) try(group []evil, behind bool) {
	w.t.Helper()
	switch {
	case group[0].kind == "":
		for i := range group {
			if i > 0 {
				w.fresh()
			}
			w.harmless(group[i], behind)
		}
	case behind:
		w.helped(group)
	default:
		w.alone(group)
	}
}

// mayMeet reports whether one command can meet both mirrors, one after the other,
// and be refused by each for its own sake.
func mayMeet(a, b evil) bool {
	object := a.file == "index/" || a.file == "keyring/" // is asked of all mirrors until one has it
	return a.file == b.file && a.later == b.later && !a.whole && !b.whole && (a.kind == "") == (b.kind == "") &&
		(a.kind == unreachable) == (b.kind == unreachable) && (a.kind == "" || !object)
}

// grouped puts mirrors that do wrong at the same file together: one command meets
// all of them. Those that are harmless are a group, too.
func grouped(all []evil) (groups [][]evil) {
	for _, e := range all {
		most := 60
		if e.kind == unreachable {
			most = 8 // each is tried three times, with pauses
		}
		i := slices.IndexFunc(groups, func(g []evil) bool { return mayMeet(g[0], e) && len(g) < most })
		if i < 0 {
			groups = append(groups, []evil{e})
		} else {
			groups[i] = append(groups[i], e)
		}
	}
	return groups
}

// place serves evil mirrors and returns their URLs.
func (w *world) place(group []evil) (urls []string) {
	w.t.Helper()
	for _, e := range group {
		url := e.url
		if url == "" {
			dir := e.dir
			if dir == "" {
				dir = w.present
			}
			url = w.serve(&mirror{dir: dir, rules: e.rules})
		}
		urls = append(urls, url)
	}
	return urls
}

// code is the exit code that a group of refusals leads to.
func codeOf(group []evil) int {
	code := network
	for _, e := range group {
		switch e.kind {
		case unreachable:
		case expired:
			if code == network {
				code = stale
			}
		default:
			code = refused
		}
	}
	return code
}

// alone asks that nothing but evil mirrors leads to a refusal that names each of
// them, that changes nothing, and that a good mirror then repairs at once.
func (w *world) alone(group []evil) {
	w.t.Helper()
	w.withoutCached(group[0])
	urls := w.place(group)
	w.define(urls...)
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, codeOf(group))
	for i, e := range group {
		w.named(r, urls[i], e)
	}
	repair := w.present
	if group[0].later != "" {
		repair = group[0].later
	}
	w.define(w.good(repair))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
}

// withoutCached empties the cache if a mirror lies about what would be in it.
func (w *world) withoutCached(e evil) {
	w.t.Helper()
	if e.file == "keyring/" {
		w.must(os.RemoveAll(w.in("var/cache/pkgtool/objects")))
	}
}

// helped asks that a good mirror behind evil ones serves, and that each of them
// is warned of once.
func (w *world) helped(group []evil) {
	w.t.Helper()
	w.withoutCached(group[0])
	urls := w.place(group)
	w.define(append(slices.Clone(urls), w.good(w.present))...)
	r := w.pkgtool("install", "--yes", "app")
	w.ended(r, done)
	for i, e := range group {
		if !e.whole {
			w.named(r, urls[i], e)
		}
	}
	w.installed()
	w.neverBack(w.remembered())
}

// harmless asks that a mirror's oddity changes nothing, and that nobody is
// bothered with it.
func (w *world) harmless(e evil, behind bool) {
	w.t.Helper()
	urls := w.place([]evil{e})
	if behind {
		urls = append(urls, w.good(w.present))
	}
	w.define(urls...)
	r := w.pkgtool("install", "--yes", "app")
	w.ended(r, done)
	w.installed()
	if lines := linesWith(r.stderr, urls[0]); len(lines) > 0 {
		w.t.Errorf("%s: warned of %q", e.name, lines)
	}
	// Nor is anybody who is not odd afterwards.
	w.define(w.good(w.present))
	if r := w.pkgtool("refresh"); r.code != done || r.stderr != "" {
		w.t.Errorf("afterwards: %s", r)
	}
}

// TestAttacks tries every attack over http and https, with nothing but evil
// mirrors and with a good one behind them.
func TestAttacks(t *testing.T) {
	t.Parallel()
	var cases, right atomic.Int64
	t.Run("all", func(t *testing.T) {
		for _, a := range attacks {
			for _, https := range []bool{false, true} {
				for _, behind := range []bool{false, true} {
					t.Run(caseName(a, https, behind), func(t *testing.T) {
						t.Parallel()
						cases.Add(1)
						a.judge(t, https, behind)
						if !t.Failed() {
							right.Add(1)
						}
					})
				}
			}
		}
	})
	fmt.Printf("%d cases, %d right\n", cases.Load(), right.Load())
	if cases.Load() < 160 {
		t.Log("only some of the 160 cases were asked for")
	}
}

func caseName(a attack, https, behind bool) string {
	name := fmt.Sprintf("A%02d_%s", a.id, a.name)
	if https {
		name += "/https"
	} else {
		name += "/http"
	}
	if behind {
		return name + "/good_behind"
	}
	return name + "/evil_only"
}

// TestEveryNumberIsThere: no attack of the list can be forgotten or be empty.
func TestEveryNumberIsThere(t *testing.T) {
	for id := 1; id <= 40; id++ {
		var found []attack
		for _, a := range attacks {
			if a.id == id {
				found = append(found, a)
			}
		}
		if len(found) != 1 || found[0].mirrors == nil && found[0].run == nil {
			t.Errorf("A%02d: %d attacks", id, len(found))
		}
	}
}

// TestGoodMirror: what the attacks do not touch works, without a word.
func TestGoodMirror(t *testing.T) {
	t.Parallel()
	for _, https := range []bool{false, true} {
		w := newWorld(t, https)
		w.define(w.good(w.present))
		r := w.pkgtool("install", "--yes", "app")
		w.ended(r, done)
		w.installed()
		if lines := linesWith(r.stderr, "repository"); len(lines) > 0 {
			t.Errorf("warned: %q", lines)
		}
		w.neverBack(w.remembered())
	}
}
