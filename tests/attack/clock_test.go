package attack

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/tuf"
)

// at asks a mirror by a clock that says now. (The clock of the program itself is
// the machine's, so these cases call the library.)
func (w *world) at(now func() time.Time, urls ...string) (client.Status, error) {
	w.t.Helper()
	c, err := client.Open([]client.Config{{Schema: 1, Name: "test", URLs: urls, Channel: "stable", Priority: 50, Timeout: 1}},
		client.DirsOf(w.root), client.Options{Now: now})
	w.must(err)
	list, err := c.Refresh(w.t.Context())
	if len(list) == 0 {
		list = append(list, client.Status{})
	}
	return list[0], err
}

func clockOf(now time.Time) func() time.Time { return func() time.Time { return now } }

// TestWrongClock: a clock that is wrong never makes expired metadata good, and
// whoever is refused for its sake is told to look at it.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	now := time.Now()
	expired := w.forge(w.present, func(f *forger) {
		f.ts.Signed.UnrecognizedFields[repo.PublishedField] = now.Add(-3 * time.Hour).UTC().Format(time.RFC3339)
		f.ts.Signed.Expires = now.Add(-time.Hour)
	})
	present, frozen := w.good(w.present), w.good(expired)
	stale := func(err error) bool {
		var m *client.MirrorError
		return errors.As(err, &m) && m.Kind == tuf.Stale && fault.ClassOf(err) == fault.Stale && strings.Contains(strings.Join(fault.Hints(err), " "), "clock")
	}
	for name, clock := range map[string]time.Time{"10 years back": now.AddDate(-10, 0, 0), "1970": time.Unix(60, 0)} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			// The first refresh ever cannot know better; the metadata tells the time.
			w.fresh()
			w.must(os.RemoveAll(w.in("var/lib/pkgtool/repositories/test")))
			if _, err := w.at(clockOf(clock), present); err != nil {
				t.Errorf("first refresh: %v", err)
			}
			// What was seen is a floor under the clock: a state that expired after it
			// was published is still refused when it is seen at the right time first,
			// and the clock goes back then.
			w.fresh()
			if _, err := w.at(clockOf(now), present); err != nil {
				t.Error(err)
			}
			later := w.forge(expired, func(f *forger) {
				f.ts.Signed.Expires = now.Add(-2 * time.Hour) // before the present state was published
				f.ts.Signed.UnrecognizedFields[repo.PublishedField] = now.Add(-3 * time.Hour).UTC().Format(time.RFC3339)
			})
			if _, err := w.at(clockOf(clock), w.good(later)); !stale(err) {
				t.Errorf("after the clock went back: %v", err)
			}
			if _, err := w.at(clockOf(clock), present); err != nil {
				t.Errorf("what is good by the floor: %v", err)
			}
		})
	}
	t.Run("10 years ahead", func(t *testing.T) {
		w.t = t
		w.fresh()
		if _, err := w.at(clockOf(now.AddDate(10, 0, 0)), present); !stale(err) {
			t.Errorf("%v", err)
		}
		// Nothing of that is remembered: by the right clock it works at once.
		if _, err := w.at(clockOf(now), present); err != nil {
			t.Error(err)
		}
	})
	t.Run("expired by the right clock", func(t *testing.T) {
		w.t = t
		w.fresh()
		if _, err := w.at(clockOf(now), frozen); !stale(err) {
			t.Errorf("%v", err)
		}
	})
	t.Run("jumps during a run", func(t *testing.T) {
		w.t = t
		w.fresh()
		var asked atomic.Int64
		_, err := w.at(func() time.Time { // back and forth, further each time
			n := asked.Add(1)
			return now.AddDate(0, 0, int(20*(n-1))*(1-2*int(n%2)))
		}, present)
		if err != nil {
			t.Errorf("start time is not fixed: %v after %d looks at the clock", err, asked.Load())
		}
		back := true
		if _, err := w.at(func() time.Time { // the first look is right, all others are before the expiry
			if back {
				back = false
				return now
			}
			return now.AddDate(-1, 0, 0)
		}, frozen); !stale(err) {
			t.Errorf("%v", err)
		}
	})
}
