package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
	"ashlar/repo/index"
)

// Promotion says what Promote brings into a channel.
type Promotion struct {
	From  string   // the channel that it comes from; or
	Stage string   // the stage
	To    string   // the channel that it goes to
	Specs []string // which packages, as in Remove; none: everything newer, or the whole stage
	// Incomplete lets through what Options.Complete refuses.
	Incomplete bool
}

// Promote lists packages of one channel, or of a stage, in another as well, all
// of them or none; clients see them with the next Publish. A stage must hold
// all that it is expected to, and is dropped then. Versions that the channel
// has stay beside the new ones.
func (r *Repository) Promote(ctx context.Context, p Promotion) ([]index.Entry, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	v, unlock, err := r.lockedView(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	before, err := v.channel(p.To)
	if err != nil {
		return nil, err
	}
	candidates, err := r.candidates(v, &p, before)
	if err != nil {
		return nil, err
	}
	var brought []index.Entry
	for _, e := range candidates {
		came, err := v.bring(p.To, e)
		if err != nil {
			return nil, err
		}
		if came {
			brought = append(brought, e)
		}
	}
	if err := index.Sort(brought); err != nil {
		return nil, err
	}
	if err := v.completes(ctx, p.To, before, p.Incomplete); err != nil {
		return nil, err
	}
	if err := v.save(); err != nil {
		return nil, err
	}
	if p.Stage != "" {
		// Killed before this, the same command does it.
		err = r.removeStage(p.Stage)
	}
	return brought, err
}

func (p *Promotion) check() error {
	if (p.From == "") == (p.Stage == "") || p.Stage != "" && len(p.Specs) > 0 {
		return fault.Errorf(fault.Usage, "packages come from a channel or, all of them, from a stage")
	}
	if p.From != "" {
		if err := checkChannel(p.From); err != nil {
			return err
		}
	}
	if p.From == p.To {
		return fault.Errorf(fault.Usage, "packages cannot come from and go to channel %s", p.To)
	}
	return checkChannel(p.To)
}

// candidates returns what is to be promoted.
func (r *Repository) candidates(v *view, p *Promotion, before []index.Entry) ([]index.Entry, error) {
	if p.Stage != "" {
		s, err := r.readStage(p.Stage)
		if err != nil {
			return nil, err
		}
		if missing := s.Missing(); len(missing) > 0 {
			return nil, fault.Mark(fmt.Errorf("stage %s lacks %s", p.Stage, strings.Join(missing, ", ")), fault.Failed,
				"add what is missing, or take it off the list: pkgtool repo stage add "+r.dir+" "+p.Stage+" --expect=...")
		}
		return s.Packages, nil
	}
	from, err := v.channel(p.From)
	if err != nil {
		return nil, err
	}
	if len(p.Specs) > 0 {
		return newestPicked(from, p.Specs, p.From)
	}
	return newerThan(from, before)
}

// newestPicked returns what specs name; of a name without version the newest.
func newestPicked(from []index.Entry, specs []string, channel string) ([]index.Entry, error) {
	var all []index.Entry
	for _, text := range specs {
		some, err := pick(from, []string{text}, channel)
		if err != nil {
			return nil, err
		}
		best, err := newest(some)
		if err != nil {
			return nil, err
		}
		for _, e := range best {
			if !slices.ContainsFunc(all, func(o index.Entry) bool { return o.Path == e.Path }) {
				all = append(all, e)
			}
		}
	}
	return all, nil
}

// newerThan returns the newest packages of a channel that another has not, or
// in a lower version.
func newerThan(from, to []index.Entry) ([]index.Entry, error) {
	offered, err := newest(from)
	if err != nil {
		return nil, err
	}
	has, err := newest(to)
	if err != nil {
		return nil, err
	}
	var all []index.Entry
	for key, e := range offered {
		old, there := has[key]
		if there {
			newer, err := isNewer(&e, &old)
			if err != nil {
				return nil, err
			}
			if !newer {
				continue
			}
		}
		all = append(all, e)
	}
	return all, nil
}

func isNewer(a, b *index.Entry) (bool, error) {
	var of [2]version.Version
	for i, e := range []*index.Entry{a, b} {
		v, err := e.EVR()
		if err != nil {
			return false, err
		}
		of[i] = v
	}
	return of[0].Compare(of[1]) > 0, nil
}

// bring lists a package of another channel, unless it is listed already.
func (v *view) bring(channel string, e index.Entry) (bool, error) {
	there, err := v.coming(IndexTarget(channel, e.Arch), e.Name, e.ID())
	if err != nil || there != nil && there.SHA256 == e.SHA256 {
		return false, err
	}
	if err := (&adding{view: v, channel: channel}).mayList(&e, there); err != nil {
		return false, err
	}
	return true, v.set(channel, e)
}

// completes asks whether a channel may become what it is to be.
func (v *view) completes(ctx context.Context, channel string, before []index.Entry, anyway bool) error {
	if v.repository.complete == nil || anyway {
		return nil
	}
	after, err := v.channel(channel)
	if err != nil {
		return err
	}
	return v.repository.complete(ctx, channel, before, after)
}
