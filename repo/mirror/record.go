package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
)

// recordPath is what a mirror remembers between runs.
const recordPath = ".ashlar/mirror.json"

const maxRecord = 32 << 20

// record is whom a mirror trusts, what it copies and what it has seen.
type record struct {
	Format   int         `json:"format"`
	Settings Settings    `json:"settings"`
	Pinned   []byte      `json:"pinned_root"` // that somebody said to trust
	State    trust.State `json:"state"`       // verified last, of whichever source; never undercut
	Source   string      `json:"source"`      // of the last complete run
	Synced   time.Time   `json:"synced"`      // when that ended
}

// readRecord returns fs.ErrNotExist where no mirror was made yet.
func readRecord(ctx context.Context, l transport.Limits, s transport.Source) (*record, error) {
	data, err := l.ReadFile(ctx, s, recordPath, maxRecord, -1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s, recordPath, err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil || r.Format != 1 {
		return nil, fault.Mark(fmt.Errorf("%s: %s is damaged or of another version", s, recordPath), fault.Security,
			"if you know why, remove the file and name the trusted root again: the next run cannot tell whether the origin goes back in time")
	}
	return &r, nil
}

func (r *record) write(ctx context.Context, s store.Store) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.PutBytes(ctx, recordPath, append(data, '\n'))
}

// pin decides which root is trusted.
func (r *record) pin(ctx context.Context, place fmt.Stringer, sources []*counted, o Options) error {
	given := o.Root
	if given == nil && o.Fingerprint != "" && r.Pinned == nil {
		root, err := findRoot(ctx, o.Limits, sources, o.Fingerprint)
		if err != nil {
			return err
		}
		given = root
	}
	switch known := r.Pinned; {
	case known != nil && given != nil && !bytes.Equal(known, given):
		return fault.Mark(fmt.Errorf("%s is a mirror under another trusted root, with sha256 %s", place, sumOf(known)), fault.Security,
			"leave out --root-file, or make a new mirror in another place")
	case known != nil && o.Fingerprint != "" && plainFingerprint(o.Fingerprint) != sumOf(known):
		return fault.Mark(fmt.Errorf("%s is a mirror under the trusted root with sha256 %s", place, sumOf(known)), fault.Security,
			"leave out --fingerprint, or make a new mirror in another place")
	case known != nil:
		return nil
	case given == nil:
		return fault.Mark(fmt.Errorf("nothing says which root of %s is to be trusted", sources[0]), fault.Security,
			"give --root-file FILE or --fingerprint SHA256, which `pkgtool repo trust` prints at the publisher's")
	}
	r.Pinned = given
	r.State = trust.State{Format: 1, Pin: sumOf(given), Root: given}
	return nil
}
