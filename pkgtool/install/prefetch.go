package install

import (
	"context"

	"ashlar/pkgtool/system"
)

// Fetch gets and verifies every package of the plan without installing any, for
// who installs them somewhere else. The packages stay open until the plan is
// closed.
func (p *Plan) Fetch(ctx context.Context, progress Progress) ([]system.Addition, error) {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	if err := p.fetchAll(ctx, progress); err != nil {
		return nil, err
	}
	return p.change.Add, nil
}
