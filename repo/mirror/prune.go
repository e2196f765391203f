package mirror

import (
	"context"
	"os"
	"path/filepath"
	"slices"
)

// prune writes the list, and removes what no state has named for the grace
// period. An object is first noted as one that may be gone, so that a run that
// is killed in the middle knows what it left.
func (r *run) prune(ctx context.Context) error {
	until := r.Now().Add(-r.grace()).Unix()
	var over []string
	for path, o := range r.list.objects {
		if o.refs == 0 && o.retired <= until {
			over = append(over, path)
			if o.present {
				r.result.Removed++
				r.result.RemovedBytes += o.size
			}
			o.present = false
			r.list.objects[path] = o
		}
	}
	if err := r.list.write(ctx, r.to, listPath); err != nil {
		return err
	}
	if len(over) == 0 {
		return nil
	}
	if err := r.to.Sync(ctx); err != nil {
		return err
	}
	slices.Sort(over)
	for _, path := range over {
		if err := r.to.Remove(ctx, path); err != nil {
			return err
		}
		delete(r.list.objects, path)
	}
	return r.list.write(ctx, r.to, listPath)
}

// sweepScratch removes what was arriving for a state that is not wanted any
// more. The lock is held: nobody else is writing there.
func (r *run) sweepScratch() {
	left, _ := os.ReadDir(r.scratch)
	for _, f := range left {
		os.Remove(filepath.Join(r.scratch, f.Name()))
	}
}

// temporaryScratch is a folder that a dry run reads indexes into.
func (r *run) temporaryScratch() (done func(), err error) {
	r.scratch, err = os.MkdirTemp("", "ashlar-mirror-")
	return func() { os.RemoveAll(r.scratch) }, err
}
