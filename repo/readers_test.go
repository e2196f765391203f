package repo_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/repotest"
)

// TestReadersWhilePublishing: whoever reads while a publisher works sees states
// that were published, whole.
func TestReadersWhilePublishing(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	repotest.Publish(t, r, repotest.Package(t, in, "first-1.0.0-1", "x", nil, key))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				report, err := repo.Check(t.Context(), dir, now)
				if err != nil || len(report.Problems) != 0 {
					t.Errorf("%v, %v", report, err)
					return
				}
			}
		})
	}
	for i := range 10 {
		repotest.Publish(t, r, repotest.Package(t, in, fmt.Sprintf("p%d-1.0.0-1", i), "x", nil, key))
	}
	close(stop)
	readers.Wait()
}

// TestTwoPublishers: both packages are there afterwards.
func TestTwoPublishers(t *testing.T) {
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	var group sync.WaitGroup
	for _, name := range []string{"a-1.0.0-1", "b-1.0.0-1", "c-1.0.0-1"} {
		file := repotest.Package(t, in, name, name, nil, key)
		group.Go(func() {
			mine, err := repo.Open(dir, repo.Options{Keys: repotest.Keys(dir), Now: func() time.Time { return now }})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := mine.Add(t.Context(), "stable", file); err != nil {
				t.Error(err)
			}
			if _, err := mine.Publish(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, err := r.List()
	if err != nil || len(list) != 3 {
		t.Errorf("%d packages, %v", len(list), err)
	}
	for _, l := range list {
		if !l.Published {
			t.Errorf("%s is not published", l.ID())
		}
	}
}
