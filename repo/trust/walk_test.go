package trust_test

import (
	"bytes"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"
)

// published is a repository with one package, and the state of who trusts it.
func published(t *testing.T) (source transport.Source, from trust.State, now time.Time) {
	t.Helper()
	now = repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "x", nil, key))
	return transport.Folder{Dir: dir}, trust.State{Format: 1, Root: repotest.Root(t, dir)}, now
}

func walk(t *testing.T, w *trust.Walk) error {
	t.Helper()
	w.Limits = w.Limits.OrDefault()
	return w.Run(t.Context())
}

func TestWalk(t *testing.T) {
	source, from, now := published(t)
	first := &trust.Walk{Source: source, Now: now, Got: from}
	if err := walk(t, first); err != nil {
		t.Fatal(err)
	}
	if !first.Got.Further(from) || !first.Published().Equal(now) {
		t.Errorf("published %v", first.Published())
	}
	again := &trust.Walk{Source: source, Now: now.Add(time.Hour), Got: first.Got}
	if err := walk(t, again); err != nil || again.Got.Further(first.Got) || !bytes.Equal(again.Got.Timestamp, first.Got.Timestamp) {
		t.Errorf("the same state again: %v", err)
	}

	late := now.AddDate(0, 1, 0)
	if err := walk(t, &trust.Walk{Source: source, Now: late, Got: from}); tuf.KindOf(err) != tuf.Stale {
		t.Errorf("a month later: %v", err)
	}
	if err := walk(t, &trust.Walk{Now: late, Got: first.Got}); tuf.KindOf(err) != tuf.Stale {
		t.Errorf("a month later, from memory: %v", err)
	}
	if err := walk(t, &trust.Walk{Now: late, Got: first.Got, Stale: true}); err != nil {
		t.Errorf("when it does not matter: %v", err)
	}
	// The clock was right once, and is behind now: that is noticed.
	back := &trust.Walk{Source: source, Now: time.Unix(0, 0), Got: first.Got}
	if err := walk(t, back); err != nil || back.Clock().Before(now) {
		t.Errorf("clock %v, %v", back.Clock(), err)
	}
}

// TestContradiction: what is signed must not differ between two contents of one
// version; what anybody could add may.
func TestContradiction(t *testing.T) {
	source, from, now := published(t)
	first := &trust.Walk{Source: source, Now: now, Got: from}
	if err := walk(t, first); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		other []byte
		kind  tuf.Kind
	}{
		"white space":         {append(bytes.Clone(first.Got.Timestamp), '\n'), ""},
		"a further signature": {bytes.Replace(first.Got.Timestamp, []byte(`"signatures":[`), []byte(`"signatures":[{"keyid":"ab","sig":"00"},`), 1), ""},
		"another expiry":      {bytes.Replace(first.Got.Timestamp, []byte(`"expires":"2026`), []byte(`"expires":"2027`), 1), tuf.Contradictory},
	} {
		w := &trust.Walk{Source: source, Now: now, Got: from, Others: [][]byte{tc.other}}
		if err := walk(t, w); tuf.KindOf(err) != tc.kind {
			t.Errorf("%s: %v", name, err)
		}
		if bytes.Equal(tc.other, first.Got.Timestamp) {
			t.Errorf("%s: not different", name)
		}
	}
}
