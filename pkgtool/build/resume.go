package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/sandbox"
)

// stopped is how far a build came that did not end well. Its folders lie beside
// it, in failed/<recipe>/.
type stopped struct {
	Base  string   `json:"base"`  // digest of all that the build sees but its steps
	Steps []string `json:"steps"` // digest of each, in order
	Next  int      `json:"next"`  // the one that was under way
}

// standing describes a build that stops at a step.
func standing(a *action, commands []sandbox.Command, next int) *stopped {
	base := *a
	base.Commands = nil
	s := &stopped{Base: key(base), Next: next}
	for _, c := range commands {
		c.Env = slices.DeleteFunc(slices.Clone(c.Env), func(v string) bool { return strings.HasPrefix(v, "JOBS=") })
		s.Steps = append(s.Steps, key(c))
	}
	return s
}

// follows says why a build described by now cannot go on where s stopped, or "".
func (s *stopped) follows(now *stopped) string {
	switch {
	case s.Base != now.Base:
		return "more than its steps has changed"
	case s.Next > len(now.Steps) || !slices.Equal(s.Steps[:min(s.Next, len(s.Steps))], now.Steps[:min(s.Next, len(now.Steps))]):
		return "a step before the one that failed has changed"
	}
	return ""
}

// keepStopped moves the folders of a build that failed to where a later run
// with Resume finds them. A build before its first step, or that filled the
// disk, leaves nothing worth that.
func (e *Engine) keepStopped(r *recipe.Recipe, s *stopped, folders *workFolders) error {
	if s.Next < 0 || nearlyFull(folders.build) {
		return nil
	}
	dir := e.Cache.path("failed", r.Name)
	if err := e.dropStopped(r); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return explainDisk(err)
	}
	for _, folder := range []string{folders.build, folders.dest} {
		if err := os.Rename(folder, filepath.Join(dir, filepath.Base(folder))); err != nil {
			return err
		}
	}
	// Without this file the folder counts for nothing.
	return e.Cache.writeJSON(s, "failed", r.Name, "stopped.json")
}

// dropStopped forgets the build of a recipe that failed.
func (e *Engine) dropStopped(r *recipe.Recipe) error {
	dir := e.Cache.path("failed", r.Name)
	if err := os.Remove(filepath.Join(dir, "stopped.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return sandbox.RemoveTree(dir)
}

// resume puts the folders of a build that failed in the place of fresh ones. It
// returns the step to go on with, or -1 and why not.
func (e *Engine) resume(r *recipe.Recipe, now *stopped, folders *workFolders) (next int, why string, err error) {
	var s stopped
	if !e.Cache.readJSON(&s, "failed", r.Name, "stopped.json") {
		return -1, "", nil
	}
	if why := s.follows(now); why != "" {
		return -1, why, nil
	}
	if err := os.Remove(e.Cache.path("failed", r.Name, "stopped.json")); err != nil {
		return -1, "", err
	}
	for _, folder := range []string{folders.build, folders.dest} {
		if err := sandbox.RemoveTree(folder); err != nil {
			return -1, "", err
		}
		if err := os.Rename(e.Cache.path("failed", r.Name, filepath.Base(folder)), folder); err != nil {
			return -1, "", fmt.Errorf("go on with the build of %s that failed: %w", r.Name, err)
		}
	}
	return s.Next, "", nil
}
