package cases

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"
)

// The values of [Result.Status].
const (
	OK            = "ok"
	Unsatisfiable = "unsatisfiable"
	TimedOut      = "timeout"
)

// Result is the answer to a case, as it is printed.
type Result struct {
	Schema      int      `json:"schema"` // 1
	Status      string   `json:"status"`
	Proved      bool     `json:"proved"` // the answer is proved: the best solution, or that there is none
	Install     []Step   `json:"install"`
	Remove      []Step   `json:"remove"`
	Upgrade     []Step   `json:"upgrade"`
	Reinstall   []Step   `json:"reinstall,omitempty"`
	Held        []Step   `json:"held,omitempty"`
	Reasons     []string `json:"reasons"`
	Explanation string   `json:"explanation"`
	Remedies    []string `json:"remedies,omitempty"`
	Notes       []string `json:"notes,omitempty"`
}

// Step is what happens to one package. Version, release and epoch are as the
// universe has them.
type Step struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Release   uint32 `json:"release"`
	Epoch     uint32 `json:"epoch,omitempty"`
	EVR       string `json:"evr"` // [epoch:]version-release, canonical
	Arch      string `json:"arch,omitempty"`
	Repo      string `json:"repo,omitempty"`
	ID        string `json:"id,omitempty"`
	From      string `json:"from,omitempty"` // the evr that it takes the place of
	Downgrade bool   `json:"downgrade,omitempty"`
	Why       string `json:"why,omitempty"`
}

// Solve answers the case, in at most the given time; 0 is no limit. The error is
// of class fault.Usage where the case contradicts itself, or that of a ctx that
// was ended from outside.
func (c *Case) Solve(ctx context.Context, limit time.Duration) (*Result, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if c.indexed == nil {
		c.indexed = solver.NewUniverse(c.Universe.Packages)
	}
	s, err := c.indexed.Solve(ctx, c.Request)
	r := &Result{Schema: 1, Install: []Step{}, Remove: []Step{}, Upgrade: []Step{}, Reasons: []string{}, Notes: c.Notes}
	var unsolvable *solver.Unsolvable
	var timeout *solver.Timeout
	switch {
	case err == nil:
		r.Status, r.Proved = OK, s.Exact
		c.fill(r, s)
		r.Explanation = summary(r, "nothing to do")
	case errors.As(err, &unsolvable):
		r.Status, r.Proved = Unsatisfiable, true
		r.Reasons, r.Explanation, r.Remedies = unsolvable.Reasons, unsolvable.Error(), fault.Hints(err)
	case errors.As(err, &timeout) && errors.Is(err, context.DeadlineExceeded):
		r.Status, r.Explanation = TimedOut, timeout.Error()
		if timeout.Best != nil {
			best := &Result{}
			c.fill(best, timeout.Best)
			r.Explanation += "; it is:\n" + summary(best, "nothing to do")
		}
	default:
		return nil, err
	}
	return r, nil
}

// fill lists the steps of a solution.
func (c *Case) fill(r *Result, s *solver.Solution) {
	for _, list := range []struct {
		verb  string
		steps []solver.Step
		into  *[]Step
	}{{"install", s.Install, &r.Install}, {"upgrade", s.Upgrade, &r.Upgrade}, {"remove", s.Remove, &r.Remove}, {"reinstall", s.Reinstall, &r.Reinstall}} {
		for _, step := range list.steps {
			w := c.step(step.Package, step.From, step.Why)
			w.Downgrade = step.Downgrade()
			*list.into = append(*list.into, w)
			r.Reasons = append(r.Reasons, sentence(list.verb, w))
		}
	}
	for _, held := range s.Held {
		w := c.step(held.Package, held.From, held.Why)
		r.Held = append(r.Held, w)
		r.Reasons = append(r.Reasons, sentence("hold back", w))
	}
}

func (c *Case) step(p, from *solver.Package, why string) Step {
	s := Step{
		Name: p.Name, Version: p.Version.Semver.String(), Release: p.Version.Release, Epoch: p.Version.Epoch, EVR: p.Version.String(),
		Arch: p.Arch, Repo: p.Repo, ID: p.ID, Why: why,
	}
	if spelled, ok := c.Universe.spelled[p]; ok {
		s.Version = spelled
	}
	if from != nil {
		s.From = from.Version.String()
	}
	return s
}

func sentence(verb string, s Step) string {
	switch {
	case s.Downgrade:
		return fmt.Sprintf("downgrade %s %s to %s: %s", s.Name, s.From, s.EVR, s.Why)
	case verb == "upgrade":
		return fmt.Sprintf("upgrade %s %s to %s: %s", s.Name, s.From, s.EVR, s.Why)
	default:
		return fmt.Sprintf("%s %s %s: %s", verb, s.Name, s.EVR, s.Why)
	}
}

// summary is the reasons, one per line.
func summary(r *Result, none string) string {
	if len(r.Reasons) == 0 {
		return none
	}
	return strings.Join(r.Reasons, "\n")
}
