package repo

import (
	"context"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// PublishedField is the field of timestamp metadata that says when it was
// signed (RFC 3339). Clients take it as a floor under their clock.
const PublishedField = "x-ashlar-published"

// Publication is what Publish did.
type Publication struct {
	Changed   bool      `json:"changed"` // false: everything was current already
	Version   int64     `json:"version"` // of the timestamp metadata now in force
	Packages  int       `json:"packages"`
	Published time.Time `json:"published"`
	Expires   time.Time `json:"expires"` // clients refuse the repository after this
	// Warnings is what the publisher should look after.
	Warnings []string `json:"warnings,omitempty"`
}

// Publish makes everything added so far visible, all at once. If nothing
// changed and no signature is past half of its life it writes nothing.
func (r *Repository) Publish(ctx context.Context) (*Publication, error) { return r.publish(ctx, false) }

// Resign is Publish that signs everything anew, however fresh it is. What its
// keys at hand do not suffice for is left as it is and drafted.
func (r *Repository) Resign(ctx context.Context) (*Publication, error) { return r.publish(ctx, true) }

func (r *Repository) publish(ctx context.Context, resign bool) (*Publication, error) {
	v, unlock, err := r.lockedView(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// What a publisher that was killed did not get to.
	if err := r.record(v.published); err != nil {
		return nil, err
	}
	w, err := v.writeTargets(ctx)
	if err != nil {
		return nil, err
	}
	current := *v.published
	p := &publishing{Repository: r, now: r.now(), state: &current, force: resign}
	if err := p.signAll(ctx, w.targets); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return r.record(p.state) },
		w.superseding.save,
		r.forgetPending,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	t := p.state.timestamp.Signed
	return &Publication{Changed: p.changed, Version: t.Version, Packages: w.packages(),
		Published: publishedAt(&t), Expires: p.expires(), Warnings: p.warnings}, nil
}

func (p *publishing) expires() time.Time {
	first := p.state.root.Signed.Expires
	for _, t := range []time.Time{p.state.targets.Signed.Expires, p.state.snapshot.Signed.Expires, p.state.timestamp.Signed.Expires} {
		if t.Before(first) {
			first = t
		}
	}
	return first
}

func publishedAt(t *metadata.TimestampType) time.Time {
	text, _ := t.UnrecognizedFields[PublishedField].(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
