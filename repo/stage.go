package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/index"
)

// A stage is a set of packages that become visible together, such as all that
// are rebuilt for a new library: .ashlar/stages/NAME.json. Their files lie in the
// pool, where nobody can find them before they are promoted.

// Stage is a set of packages in the making.
type Stage struct {
	Format   int           `json:"ashlar_stage"`
	Name     string        `json:"name"`
	Expect   []string      `json:"expect,omitempty"` // names of packages without which it is not complete
	Packages []index.Entry `json:"packages"`
}

// Missing lists the expected packages that are not there.
func (s *Stage) Missing() []string {
	return slices.DeleteFunc(slices.Clone(s.Expect), func(name string) bool {
		return slices.ContainsFunc(s.Packages, func(e index.Entry) bool { return e.Name == name })
	})
}

const stageFormat = 1

var (
	stageName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	// expected is a package's name.
	expected = regexp.MustCompile(`^[a-z0-9][a-z0-9+._-]{0,127}$`)
)

func (r *Repository) stagePath(name string) string { return r.path(privateDir, "stages", name+".json") }

func (r *Repository) readStage(name string) (*Stage, error) {
	if !stageName.MatchString(name) {
		return nil, fault.Mark(fmt.Errorf("invalid name %q for a stage", name), fault.Usage, "use lower-case letters, digits and . _ -")
	}
	data, err := os.ReadFile(r.stagePath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Mark(fmt.Errorf("there is no stage %s: %w", name, err), fault.Usage, "list them with: pkgtool repo stage list "+r.dir)
	}
	if err != nil {
		return nil, err
	}
	s, err := decodeStage(data)
	if err == nil && s.Name != name {
		err = fmt.Errorf("it is stage %.100q", s.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.stagePath(name), err)
	}
	return s, nil
}

func decodeStage(data []byte) (*Stage, error) {
	s := &Stage{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, err
	}
	if s.Format != stageFormat {
		return nil, fmt.Errorf("ashlar_stage is %d; this pkgtool reads format %d", s.Format, stageFormat)
	}
	for i := range s.Packages {
		if err := s.Packages[i].Validate(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (r *Repository) writeStage(s *Stage) error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	if err := r.privateFolder("stages"); err != nil {
		return err
	}
	return durable.WriteFile(r.stagePath(s.Name), append(data, '\n'), 0o644)
}

// AddToStage takes package files into a stage, which it makes if there is none, as Add
// does into a channel. Another build of the same release takes the place of the
// first. expect, unless it is nil, are the names of the packages without which
// the stage is not complete, in place of those named before.
func (r *Repository) AddToStage(ctx context.Context, name string, expect []string, files ...string) (*Stage, error) {
	for _, text := range expect {
		if !expected.MatchString(text) {
			return nil, fault.Errorf(fault.Usage, "%.100q is no name of a package", text)
		}
	}
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := r.readStage(name)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = &Stage{Format: stageFormat, Name: name, Packages: []index.Entry{}}, nil
	}
	if err != nil {
		return nil, err
	}
	if expect != nil {
		s.Expect = slices.Compact(slices.Sorted(slices.Values(expect)))
	}
	taken, err := r.receive(ctx, files, nil)
	defer discard(taken)
	if err != nil {
		return nil, err
	}
	for _, in := range taken {
		s.Packages = slices.DeleteFunc(s.Packages, func(e index.Entry) bool { return e.ID() == in.entry.ID() })
		s.Packages = append(s.Packages, in.entry)
	}
	if err := index.Sort(s.Packages); err != nil {
		return nil, err
	}
	if err := r.place(taken); err != nil {
		return nil, err
	}
	return s, r.writeStage(s)
}

// Stages returns all stages by name.
func (r *Repository) Stages() ([]*Stage, error) {
	files, err := os.ReadDir(r.path(privateDir, "stages"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []*Stage
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok || !stageName.MatchString(name) {
			continue // a temporary file of a publisher that was killed
		}
		s, err := r.readStage(name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// DropStage forgets a stage. Prune removes its packages.
func (r *Repository) DropStage(ctx context.Context, name string) error {
	unlock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := r.readStage(name); err != nil {
		return err
	}
	return r.removeStage(name)
}

func (r *Repository) removeStage(name string) error {
	if err := os.Remove(r.stagePath(name)); err != nil {
		return err
	}
	return durable.SyncDir(r.path(privateDir, "stages"))
}
