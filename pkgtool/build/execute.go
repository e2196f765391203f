package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/fault"
)

// workFolders are the folders of one build on the host.
type workFolders struct {
	build, dest, sources, recipe string
	source                       string // $SRCDIR, below build
	scratch                      string
}

func makeFolders(dir string, r *recipe.Recipe) (*workFolders, error) {
	w := &workFolders{
		build: filepath.Join(dir, "build"), dest: filepath.Join(dir, "dest"),
		sources: filepath.Join(dir, "sources"), recipe: filepath.Join(dir, "recipe"),
		scratch: filepath.Join(dir, "scratch"),
	}
	w.source = filepath.Join(w.build, path.Base(sourceFolder(r)))
	objects := filepath.Join(w.build, path.Base(objectsFolder))
	for _, d := range []string{w.build, w.dest, w.sources, w.recipe, w.scratch, w.source, objects} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
		if err := os.Chmod(d, 0o755); err != nil { // whatever the umask
			return nil, err
		}
	}
	return w, nil
}

// FailedBuild is a build whose step failed, before its folder is removed.
type FailedBuild struct {
	Recipe string
	work   *Work
}

// Shell runs bash in the build's root, on the caller's terminal.
func (f *FailedBuild) Shell(ctx context.Context) error {
	spec := f.work.spec()
	spec.Terminal = true
	spec.Commands = []sandbox.Command{{Name: "bash", Argv: []string{"/usr/bin/bash"}, Dir: buildFolder}}
	return sandbox.Run(ctx, spec)
}

// execute runs an action in the sandbox and keeps what it installed in the
// cache. It returns how that went.
func (e *Engine) execute(ctx context.Context, r *recipe.Recipe, root *buildRoot, a *action, actionKey string, jobs int) (done *installedFile, err error) {
	work, err := e.Cache.newWork(r.Name)
	if err != nil {
		return nil, err
	}
	defer e.clear(r, work)
	folders, err := makeFolders(work.path, r)
	if err != nil {
		return nil, explainDisk(err)
	}
	if err := e.provideSources(ctx, r, folders); err != nil {
		return nil, err
	}
	if err := e.provideRecipe(r, folders); err != nil {
		return nil, err
	}
	layers, err := e.materialize(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	file, err := e.logFile(r, actionKey)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	log := &buildLog{w: file, engine: e, recipe: r.Name}
	start := time.Now()
	patches, err := e.patchCommands(r, a.Env["SRCDIR"], folders)
	if err != nil {
		return nil, err
	}
	w := &Work{
		Recipe: r.Name, Action: actionKey, Root: layers,
		Build: folders.build, Dest: folders.dest, Sources: folders.sources, Files: folders.recipe, Scratch: folders.scratch,
		Commands: append(patches, e.commands(a, jobs)...), Env: environ(a.Env), Log: log, Jobs: jobs, Limits: limits(r),
	}
	done = &installedFile{Recipe: r.Name}
	if len(w.Commands) > 0 {
		if done.Resumed, err = e.runSteps(ctx, r, a, w, folders, log, file.Name()); err != nil {
			return nil, err
		}
	}
	if err := tidy(folders.dest); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	if a.Strip {
		if err := e.strip(ctx, w, a.Debug); err != nil {
			return nil, fmt.Errorf("%s: divide off debugging symbols: %w (log: %s)", r.Name, err, file.Name())
		}
	}
	if err := file.Close(); err != nil {
		return nil, explainDisk(err)
	}
	done.Seconds = time.Since(start).Seconds()
	if !done.Resumed {
		e.recordSeconds(r.Name, done.Seconds)
	}
	// A folder of that name is from an engine that was killed before it wrote
	// the entry beside it.
	name := r.Name + "-" + actionKey
	if err := sandbox.RemoveTree(e.Cache.path("installed", name)); err != nil {
		return nil, err
	}
	return done, errors.Join(e.dropStopped(r), e.Cache.keep(folders.dest, "installed", name))
}

// clear removes a build's folder. What cannot be removed spoils no build: the
// caller is warned, and the next run tries again.
func (e *Engine) clear(r *recipe.Recipe, work *workDir) {
	if err := work.remove(); err != nil {
		e.report(Event{Kind: Warning, Recipe: r.Name, Text: err.Error()})
	}
}

// runSteps runs the commands of a build, from the first or from where an
// earlier run stopped. When they fail, it keeps what there is for the next one.
func (e *Engine) runSteps(ctx context.Context, r *recipe.Recipe, a *action, w *Work, folders *workFolders, log *buildLog, name string) (resumed bool, err error) {
	first := 0
	all := w.Commands
	if e.Resume {
		next, why, err := e.resume(r, standing(a, all, 0), folders)
		if err != nil {
			return false, err
		}
		if why != "" {
			e.report(Event{Kind: Waiting, Recipe: r.Name, Text: "begins anew: " + why})
		}
		if next >= 0 {
			first, resumed = next, true
			e.report(Event{Kind: Resumed, Recipe: r.Name, Text: all[min(next, len(all)-1)].Name})
		}
	}
	reached := -1
	w.Commands, w.Started = all[first:], func(n int) { reached = first + n }
	if len(w.Commands) == 0 {
		return resumed, nil
	}
	runErr := e.executor().Run(ctx, w)
	if runErr == nil {
		return resumed, nil
	}
	if w.Undone {
		reached = -1
	}
	failure := e.explainFailure(ctx, w, name, log, folders, runErr)
	if err := e.keepStopped(r, standing(a, all, reached), folders); err != nil {
		return false, errors.Join(failure, fmt.Errorf("keep what there is of %s: %w", r.Name, err))
	}
	return false, failure
}

// provideRecipe copies the recipe's files and patches for the build to read.
func (e *Engine) provideRecipe(r *recipe.Recipe, w *workFolders) error {
	files, err := e.recipeFiles(r)
	if err != nil {
		return err
	}
	for _, f := range files {
		target := filepath.Join(w.recipe, f.name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return explainDisk(err)
		}
		info, err := os.Stat(f.from)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		if err := copyFile(f.from, target, mode); err != nil {
			return explainDisk(err)
		}
	}
	return nil
}

// limits are those of a recipe as the sandbox takes them.
func limits(r *recipe.Recipe) sandbox.Limits {
	b := r.Build.Limits.Bounds()
	return sandbox.Limits{Wall: b.Time, Silence: b.Silence, Log: b.Log, Disk: b.Disk, Memory: b.Memory, Processes: b.Processes}
}

// commands turns an action's steps into commands of the sandbox.
func (e *Engine) commands(a *action, jobs int) []sandbox.Command {
	var list []sandbox.Command
	for _, c := range a.Commands {
		env := map[string]string{"JOBS": fmt.Sprint(jobs)}
		for k, v := range c.Env {
			env[k] = expandEnv(v, a.Env, env)
		}
		cmd := sandbox.Command{Name: c.Phase, Env: environ(env), Dir: expandEnv(c.Dir, a.Env, env)}
		if c.Name != "" {
			cmd.Name += ": " + c.Name
		}
		if !path.IsAbs(cmd.Dir) {
			cmd.Dir = path.Join(a.Env["SRCDIR"], cmd.Dir)
		}
		if c.Run != "" {
			cmd.Argv = []string{"/usr/bin/bash", "-euo", "pipefail", "-c", c.Run}
		}
		for _, arg := range c.Exec {
			cmd.Argv = append(cmd.Argv, expandEnv(arg, a.Env, env))
		}
		list = append(list, cmd)
	}
	return list
}

// expandEnv fills ${env.NAME}; an unknown variable is empty.
func expandEnv(text string, scopes ...map[string]string) string {
	for {
		before, rest, ok := strings.Cut(text, "${env.")
		if !ok {
			return text
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return text
		}
		value := ""
		for _, scope := range scopes {
			if v, ok := scope[name]; ok {
				value = v
			}
		}
		text = before + value + after
	}
}

// explainFailure adds the end of the log and what to do next.
func (e *Engine) explainFailure(ctx context.Context, w *Work, name string, log *buildLog, folders *workFolders, err error) error {
	var exit *sandbox.ExitError
	var limit *sandbox.LimitError
	if !errors.As(err, &exit) && !errors.As(err, &limit) {
		return fmt.Errorf("%s: %w", w.Recipe, explainDisk(err))
	}
	if e.Failed != nil {
		e.Failed(ctx, &FailedBuild{w.Recipe, w})
	}
	text := fmt.Errorf("%s: %w; the end of its log, %s:\n%s", w.Recipe, err, name, log.tail(30))
	if nearlyFull(folders.build) {
		return fault.Mark(fmt.Errorf("%w\nthe file system of the cache is full", text), fault.Failed, diskHint)
	}
	text = fault.Mark(text, fault.Failed, "pkgtool build "+w.Recipe+" --shell-on-failure shows the build as it stopped; --resume goes on with the step that failed")
	if limit != nil {
		text = fault.Mark(text, fault.Failed, "if it needs more, raise build.limits."+limit.Limit+" in its recipe")
	}
	return text
}

// tail returns the last lines, indented.
func (l *buildLog) tail(lines int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Split(strings.TrimRight(strings.ToValidUTF8(string(l.last), "?"), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = "  | " + strings.Map(printable, line)
	}
	return strings.Join(all, "\n")
}

func printable(r rune) rune {
	if r == '\t' {
		return ' '
	}
	if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
		return -1
	}
	return r
}

// buildLog writes the log and tells which phase a build is in.
type buildLog struct {
	mu     sync.Mutex
	w      io.Writer
	engine *Engine
	recipe string
	line   []byte // the beginning of a line that is not complete
	phase  string
	last   []byte // the end of the log, also where the disk is full
}

// lastBytes is how much of the end of a log is kept at hand.
const lastBytes = 16 << 10

func (l *buildLog) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := data; len(rest) > 0; {
		line, more, complete := bytes.Cut(rest, []byte("\n"))
		if len(l.line) < 200 {
			l.line = append(l.line, line[:min(len(line), 200)]...)
		}
		rest = more
		if !complete {
			break
		}
		l.see(string(l.line))
		l.line = l.line[:0]
	}
	l.last = append(l.last, data[max(0, len(data)-lastBytes):]...)
	if len(l.last) > 2*lastBytes {
		l.last = append([]byte(nil), l.last[len(l.last)-lastBytes:]...)
	}
	return l.w.Write(data)
}

// see looks for the lines by which the sandbox announces a command.
func (l *buildLog) see(line string) {
	name, ok := strings.CutPrefix(line, "==> ")
	if !ok {
		return
	}
	phase, _, _ := strings.Cut(name, ":")
	if phase != l.phase {
		l.phase = phase
		l.engine.report(Event{Kind: Phase, Recipe: l.recipe, Text: phase})
	}
}

var secondsLock sync.Mutex

// recordSeconds remembers how long a recipe takes, for the next schedule.
// Nothing depends on it, so a failure is not one of the build.
func (e *Engine) recordSeconds(name string, seconds float64) {
	secondsLock.Lock()
	defer secondsLock.Unlock()
	all := e.recordedSeconds()
	all[name] = seconds
	_ = e.Cache.writeJSON(all, "seconds.json")
}
