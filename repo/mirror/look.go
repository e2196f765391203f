package mirror

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"ashlar/repo"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// survey is what was found in the store before anything is copied.
type survey struct {
	listed  bool
	unknown map[string]int64 // files that are not known to be good, by path; only where listed
	shown   []byte           // the timestamp; nil if there is none
	damaged bool             // something of the state shown is not as it should be
}

// folders of a repository. Files elsewhere in a store are none of ours.
var folders = []string{"metadata", "index", "keyring", "advisories", "pool"}

// look compares the store with the list. In a folder, and where there is no
// list yet, it looks at all files' sizes; elsewhere that costs too much.
func (r *run) look(ctx context.Context) (*survey, error) {
	s := &survey{unknown: map[string]int64{}}
	var err error
	s.shown, err = r.Limits.ReadFile(ctx, r.to, repo.TimestampPath, tuf.MaxSize[metadata.TIMESTAMP], -1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && tuf.KindOf(err) == "" {
		return nil, err
	}
	if _, local := r.to.(*store.Dir); local || r.Verify || len(r.list.base) == 0 {
		if err := r.compare(ctx, s); err != nil {
			return nil, err
		}
	}
	for _, o := range r.list.objects {
		s.damaged = s.damaged || o.refs > 0 && !o.present
	}
	return s, nil
}

// compare lists the store.
func (r *run) compare(ctx context.Context, s *survey) error {
	s.listed = true
	seen := make(map[string]bool, len(r.list.objects))
	for _, folder := range folders {
		err := r.to.List(ctx, folder, func(f store.File) error {
			known, ok := r.list.objects[f.Path]
			switch {
			case f.Path == repo.TimestampPath:
			case ok && known.present && known.size == f.Size:
				seen[f.Path] = true
			case ok && known.present:
				seen[f.Path] = true
				r.damage(f.Path)
			default:
				s.unknown[f.Path] = f.Size
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for path, o := range r.list.objects {
		if o.present && !seen[path] {
			r.list.set(path, o.size, false, r.Now())
		}
	}
	return nil
}

// damage notes that a file does not have the content that it had.
func (r *run) damage(path string) {
	o := r.list.objects[path]
	r.list.set(path, o.size, false, r.Now())
	r.result.Damaged = append(r.result.Damaged, path)
}

// makePlan counts what the indexes of the state name.
func (r *run) makePlan(ctx context.Context) error {
	whole := r.Verify || r.survey.damaged || len(r.list.base) == 0
	if !whole {
		p, err := r.difference(ctx)
		if err == nil || tuf.KindOf(err) != "" || ctx.Err() != nil || !errors.Is(err, errNoBase) {
			r.plan = p
			return err
		}
	}
	r.plan = newPlan(r.state, true)
	for _, t := range r.state.indexes {
		data, err := r.index(ctx, t)
		if err != nil {
			return err
		}
		if err := r.plan.addIndex(t.name, data); err != nil {
			return failure(r.walked, t.Path, err)
		}
	}
	return nil
}

// errNoBase says that an index of the state shown is not there any more.
var errNoBase = errors.New("the indexes that were counted are not all there")

// difference counts by what the indexes differ from those counted last.
func (r *run) difference(ctx context.Context) (*plan, error) {
	p := newPlan(r.state, false)
	for name, sum := range r.list.base {
		if p.base[name] != "" {
			continue
		}
		old, err := r.oldIndex(ctx, name, sum)
		if err == nil {
			err = p.dropIndex(name, old)
		}
		if err != nil {
			return nil, errNoBase
		}
	}
	for _, t := range r.state.indexes {
		sum := r.list.base[t.name]
		if sum == t.SHA256 {
			continue
		}
		data, err := r.index(ctx, t)
		if err != nil {
			return nil, err
		}
		if sum == "" {
			err = p.addIndex(t.name, data)
		} else {
			var old []byte
			if old, err = r.oldIndex(ctx, t.name, sum); err != nil {
				return nil, errNoBase
			}
			err = p.replaceIndex(t.name, old, data)
		}
		if err != nil {
			return nil, failure(r.walked, t.Path, err)
		}
	}
	return p, nil
}

// needed lists what of the state is not there, by path. With Verify it reads
// all that is.
func (r *run) needed(ctx context.Context) ([]transport.Object, error) {
	var all []transport.Object
	for _, t := range slices.Concat(r.state.indexes, r.state.others) {
		all = append(all, t.Object)
	}
	for _, o := range r.plan.wants {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b transport.Object) int { return cmp.Compare(a.Path, b.Path) })
	if r.Verify {
		if err := r.verify(ctx, all); err != nil {
			return nil, err
		}
	}
	var needed []transport.Object
	for _, o := range all {
		if !r.list.has(o.Path) {
			needed = append(needed, o)
		}
	}
	r.findStrangers(all)
	return needed, nil
}

// namedStrangers is how many strangers a result names.
const namedStrangers = 100

// findStrangers lists the files that neither the state nor a run before has.
func (r *run) findStrangers(all []transport.Object) {
	mine := make(map[string]bool, len(all))
	for _, o := range all {
		mine[o.Path] = true
	}
	for _, m := range r.state.metadata {
		mine[m.path] = true
	}
	var strangers []string
	for path := range r.survey.unknown {
		_, brought := r.list.objects[path]
		isRoot := strings.HasPrefix(path, "metadata/") && strings.HasSuffix(path, ".root.json")
		if !mine[path] && !brought && !isRoot {
			strangers = append(strangers, path)
		}
	}
	slices.Sort(strangers)
	r.result.More = max(0, len(strangers)-namedStrangers)
	r.result.Strangers = append([]string{}, strangers[:len(strangers)-r.result.More]...)
}
