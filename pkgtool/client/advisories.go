package client

import (
	"context"
	"errors"
	"fmt"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/advisory"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
)

// Advised is a security advisory of a repository.
type Advised struct {
	Repo string `json:"repo"`
	*advisory.Advisory
}

// advisoriesOf makes sure that the cache has the advisories of a verified state.
// They are read when somebody asks.
func (r *repository) advisoriesOf(ctx context.Context, w *trust.Walk, m transport.Source) (*object, error) {
	if w.Targets().Targets[repo.AdvisoriesTarget] == nil {
		return nil, nil
	}
	_, length, sum, err := w.Target(repo.AdvisoriesTarget)
	if err != nil {
		return nil, err
	}
	if m != nil {
		if _, err := r.object(ctx, w, m, repo.AdvisoriesTarget, maxIndex); err != nil {
			return nil, err
		}
	}
	return &object{sum, length}, nil
}

// Advisories returns the security advisories of the loaded repositories; those
// that could be read, if there is an error.
func (c *Client) Advisories(ctx context.Context) ([]Advised, error) {
	var all []Advised
	var failures []error
	for _, o := range c.offers() {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if o.advisories == nil {
			continue
		}
		data, err := o.repository.cached(*o.advisories)
		var some []*advisory.Advisory
		if err == nil {
			some, err = advisory.Decode(data, repo.MaxAdvisories)
		}
		if err != nil {
			failures = append(failures, fault.Mark(fmt.Errorf("repository %s: advisories: %w", o.repository.config.Name, err), fault.Failed, "run: pkgtool refresh"))
		}
		for _, a := range some {
			all = append(all, Advised{o.repository.config.Name, a})
		}
	}
	return all, errors.Join(failures...)
}
