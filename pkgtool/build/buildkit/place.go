package buildkit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// score is a daemon's claim to a recipe in rendezvous hashing (Thaler and
// Ravishankar 1998): the highest gets it, and when that daemon is gone no
// recipe of the others moves.
func score(recipe, address string) uint64 {
	sum := sha256.Sum256([]byte(recipe + "\x00" + address))
	return binary.BigEndian.Uint64(sum[:])
}

// ranked returns the daemons, the one that a recipe belongs to first.
func ranked(daemons []*daemon, recipe string) []*daemon {
	list := slices.Clone(daemons)
	slices.SortFunc(list, func(a, b *daemon) int {
		switch sa, sb := score(recipe, a.Address), score(recipe, b.Address); {
		case sa > sb:
			return -1
		case sa < sb:
			return 1
		}
		return 0
	})
	return list
}

// How long a daemon that failed is left alone: 2 seconds, 4, 8 and so on.
const (
	firstPause = 2 * time.Second
	lastPause  = time.Minute
)

// acquire takes a slot of the best daemon that has one free, waiting for it if
// need be. It returns nil when each daemon was tried as often as it may.
func (f *Farm) acquire(ctx context.Context, recipe string, tries map[*daemon]int) (*daemon, error) {
	for {
		f.mu.Lock()
		now, wake, left := time.Now(), time.Time{}, false
		for _, d := range ranked(f.daemons, recipe) {
			if tries[d] >= triesEach {
				continue
			}
			left = true
			switch {
			case d.until.After(now):
				if wake.IsZero() || d.until.Before(wake) {
					wake = d.until
				}
			case d.running < d.Slots:
				d.running++
				f.mu.Unlock()
				return d, nil
			}
		}
		changed := f.changed
		f.mu.Unlock()
		if !left {
			return nil, nil
		}
		var timer <-chan time.Time
		if !wake.IsZero() {
			timer = time.After(time.Until(wake))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-changed:
		case <-timer:
		}
	}
}

// release gives a slot back; lost says that the daemon failed.
func (f *Farm) release(d *daemon, lost *lostError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.running--
	if lost == nil {
		d.failures, d.until = 0, time.Time{}
	} else {
		d.until = time.Now().Add(min(firstPause<<min(d.failures, 5), lastPause))
		d.failures++
	}
	close(f.changed)
	f.changed = make(chan struct{})
}
