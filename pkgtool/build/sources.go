package build

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"

	"github.com/bmatcuk/doublestar/v4"
)

// sourceInput describes a source without fetching it.
func (e *Engine) sourceInput(r *recipe.Recipe, s *recipe.Source) (sourceInput, error) {
	in := sourceInput{ID: s.ID, Unpack: s.Unpacked(), Into: s.Into, Digest: s.SHA256 + s.H1}
	switch {
	case s.Tree != "":
		files, err := e.treeFiles(s)
		if err != nil {
			return in, fmt.Errorf("%s: source %s: %w", r.Name, s.ID, err)
		}
		in.Digest = key(files)
	case s.GoSum != "":
		file, err := e.Tree.ProjectPath(s.GoSum)
		if err != nil {
			return in, err
		}
		if in.Digest, err = e.digests.sum(file); err != nil {
			return in, err
		}
	case in.Unpack:
		in.Strip = s.StripCount()
	default:
		in.Name = s.FileName()
	}
	return in, nil
}

// treeFile is one file of a tree source.
type treeFile struct {
	Path       string `json:"path"`
	Executable bool   `json:"executable,omitempty"`
	Digest     string `json:"digest"`
}

// treeFiles lists a tree source, sorted. The project's build folder, hidden
// files and symbolic links are never part of it.
func (e *Engine) treeFiles(s *recipe.Source) ([]treeFile, error) {
	dir, err := e.Tree.ProjectPath(s.Tree)
	if err != nil {
		return nil, err
	}
	project := filepath.Dir(e.Tree.Dir)
	var files []treeFile
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		switch {
		case rel == ".":
			return nil
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") || name == filepath.Join(project, "build")):
			return filepath.SkipDir
		case d.IsDir() && matchAny(s.Exclude, rel+"/x") && matchAny(s.Exclude, rel+"/x/x"):
			return filepath.SkipDir
		case !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "."):
			return nil
		case len(s.Include) > 0 && !matchAny(s.Include, rel), matchAny(s.Exclude, rel):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := e.digests.sum(name)
		if err != nil {
			return err
		}
		files = append(files, treeFile{rel, info.Mode()&0o100 != 0, sum})
		return nil
	})
	slices.SortFunc(files, func(a, b treeFile) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

func matchAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return doublestar.MatchUnvalidated(g, name) })
}

// provideSources fetches every source and puts it where the build expects it.
func (e *Engine) provideSources(ctx context.Context, r *recipe.Recipe, w *workFolders) error {
	progress := func(name string, done, total int64) {
		e.report(Event{Kind: Fetching, Recipe: r.Name, Text: name, Done: done, Total: total})
	}
	for i := range r.Sources {
		s := &r.Sources[i]
		into := filepath.Join(w.source, s.Into)
		var err error
		switch {
		case s.Tree != "":
			err = e.copyTree(s, into, time.Unix(r.EpochOf(), 0))
		case s.GoSum != "":
			var sums string
			if sums, err = e.Tree.ProjectPath(s.GoSum); err == nil {
				err = source.GoModuleProxy(ctx, sums, filepath.Join(w.sources, "goproxy"), e.Fetcher, progress)
			}
		default:
			err = e.provideFile(ctx, r, s, into, w.sources, progress)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Name, explainDisk(err))
		}
	}
	return nil
}

func (e *Engine) provideFile(ctx context.Context, r *recipe.Recipe, s *recipe.Source, into, sources string, progress source.Progress) error {
	file, err := e.Fetcher.Fetch(ctx, pinned(r, s), progress)
	if err != nil {
		return err
	}
	if s.Unpacked() {
		return source.UnpackNamed(ctx, s.FileName(), file, into, s.StripCount())
	}
	return copyFile(file, filepath.Join(sources, s.FileName()), 0o644)
}

// copyTree copies a tree source with fixed modes and times.
func (e *Engine) copyTree(s *recipe.Source, into string, when time.Time) error {
	dir, err := e.Tree.ProjectPath(s.Tree)
	if err != nil {
		return err
	}
	files, err := e.treeFiles(s)
	if err != nil {
		return err
	}
	for _, f := range files {
		target := filepath.Join(into, f.Path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if f.Executable {
			mode = 0o755
		}
		if err := copyFile(filepath.Join(dir, f.Path), target, mode); err != nil {
			return err
		}
		if err := os.Chtimes(target, when, when); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return fmt.Errorf("copy to %s: %w", to, err)
	}
	if err := out.Chmod(mode); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
