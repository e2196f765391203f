package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/pkgfile"
)

// action is everything a build can see, and nothing else. Its canonical JSON
// (fields and map keys in a fixed order) is hashed to its key.
type action struct {
	Behaviour int               `json:"behaviour"`
	Name      string            `json:"name"`
	Arch      string            `json:"arch"`
	Env       map[string]string `json:"env"`
	Commands  []recipe.Command  `json:"commands"`
	Strip     bool              `json:"strip"`
	Debug     bool              `json:"debug"`
	Patches   []patchInput      `json:"patches"`
	Files     []digested        `json:"files"` // of the recipe's folder
	Sources   []sourceInput     `json:"sources"`
	Root      []digested        `json:"root"` // packages by the digest of their files
	Seed      []digested        `json:"seed"` // layers
}

// digested is a named piece of content.
type digested struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// sourceInput is a source as the build sees it.
type sourceInput struct {
	ID     string `json:"id"`
	Digest string `json:"digest"`
	Name   string `json:"name,omitempty"` // of the file that is kept packed
	Unpack bool   `json:"unpack"`
	Strip  int    `json:"strip,omitempty"`
	Into   string `json:"into,omitempty"`
}

// patchInput is a patch as the build applies it.
type patchInput struct {
	Name   string `json:"name"`
	Digest string `json:"digest,omitempty"` // not of a series, which lies in a source or beside the recipe
	Strip  int    `json:"strip"`
	Source string `json:"source,omitempty"`
}

// key returns the digest of v's JSON.
func key(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("build: %T has no JSON: %v", v, err)) // own types only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// action describes the build of r in a root.
func (e *Engine) action(r *recipe.Recipe, root *buildRoot) (*action, error) {
	a := &action{
		Behaviour: behaviour, Name: r.Name, Arch: e.Tree.Arch,
		Env: environment(r, e.Tree.Arch), Commands: r.Plan(), Strip: r.Build.Strips(), Debug: r.Build.HasDebug(),
		Patches: []patchInput{}, Files: []digested{}, Sources: []sourceInput{}, Root: []digested{}, Seed: []digested{},
	}
	var err error
	for _, patch := range r.Patches {
		in := patchInput{Name: patch.File, Strip: patch.StripCount(), Source: patch.Source}
		if patch.Series != "" {
			in.Name = patch.Series
		} else if in.Digest, err = e.digests.sum(filepath.Join(r.Dir(), patch.File)); err != nil {
			return nil, err
		}
		a.Patches = append(a.Patches, in)
	}
	files, err := e.recipeFiles(r)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		sum, err := e.digests.sum(f.from)
		if err != nil {
			return nil, err
		}
		a.Files = append(a.Files, digested{f.name, sum})
	}
	for i := range r.Sources {
		in, err := e.sourceInput(r, &r.Sources[i])
		if err != nil {
			return nil, err
		}
		a.Sources = append(a.Sources, in)
	}
	for _, p := range root.packages {
		a.Root = append(a.Root, digested{p.manifest.Name, p.digest})
	}
	for _, layer := range root.layers {
		a.Seed = append(a.Seed, digested{layer, e.Seed.Digest(layer)})
	}
	return a, nil
}

// besideFile is a file that a build finds below $RECIPEDIR.
type besideFile struct{ name, from string }

// recipeFiles lists what a build sees of the recipe's folder, and the user's
// own files for it.
func (e *Engine) recipeFiles(r *recipe.Recipe) ([]besideFile, error) {
	names, err := folderFiles(r)
	if err != nil {
		return nil, err
	}
	var files []besideFile
	for _, name := range names {
		files = append(files, besideFile{name, filepath.Join(r.Dir(), name)})
	}
	for i, from := range e.Own[r.Name] {
		// numbered: the order is the user's
		files = append(files, besideFile{fmt.Sprintf("%s/%02d-%s", ownFolder, i+1, filepath.Base(from)), from})
	}
	return files, nil
}

// ownFolder is where a build finds the user's own files, below $RECIPEDIR.
const ownFolder = "own"

// folderFiles lists the files of the recipe's folder: everything but
// recipe.yaml and editors' leavings.
func folderFiles(r *recipe.Recipe) ([]string, error) {
	var files []string
	err := filepath.WalkDir(r.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.Dir(), path)
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && strings.HasPrefix(name, ".") && rel != ".":
			return filepath.SkipDir
		case !d.Type().IsRegular() || rel == recipe.FileName:
			return nil
		case strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".orig"):
			return nil
		}
		files = append(files, rel)
		return nil
	})
	slices.Sort(files)
	return files, err
}

// packaging is what decides how installed files become packages, besides the
// files themselves.
type packaging struct {
	Behaviour   int              `json:"behaviour"`
	Packing     int              `json:"packing"`
	Frame       int              `json:"frame"` // how pkgfile divides a package, and
	Level       int              `json:"level"` // how hard it compresses
	Action      string           `json:"action"`
	Recipe      string           `json:"recipe"`
	Version     string           `json:"version"`
	Upstream    string           `json:"upstream"`
	Release     uint32           `json:"release"`
	Epoch       uint32           `json:"epoch"`
	SourceEpoch int64            `json:"source_epoch"`
	Origin      string           `json:"origin"`
	Homepage    string           `json:"homepage"`
	Vendor      string           `json:"vendor,omitempty"`
	Packages    []recipe.Package `json:"packages"`
	Extra       []digested       `json:"extra"`
	Lint        recipe.Lint      `json:"lint"`
	Sources     []string         `json:"sources"`
	Root        []digested       `json:"root"` // packages by the digest of what they provide and need
}

func (e *Engine) packaging(r *recipe.Recipe, root *buildRoot, action string) (*packaging, error) {
	p := &packaging{
		Behaviour: behaviour, Packing: packing, Frame: pkgfile.SmallFrame, Level: pkgfile.DefaultLevel, Action: action, Recipe: r.Name, Version: r.Version, Upstream: r.UpstreamVersion(),
		Release: r.Release, Epoch: r.Epoch, SourceEpoch: r.EpochOf(), Origin: r.OriginOf(), Homepage: r.Homepage, Vendor: r.Vendor,
		Packages: r.Packages, Lint: r.Lint,
	}
	for _, b := range root.packages {
		p.Root = append(p.Root, digested{b.manifest.Name, relations(b.manifest)})
	}
	for _, s := range r.Sources {
		p.Sources = append(p.Sources, s.Places()...)
	}
	for i := range r.Packages {
		for _, x := range additions(&r.Packages[i]) {
			if x.from == "" {
				continue
			}
			sum, err := e.digests.sum(filepath.Join(r.Dir(), x.from))
			if err != nil {
				return nil, err
			}
			p.Extra = append(p.Extra, digested{x.from, sum})
		}
	}
	return p, nil
}

// installedFile is what the build of an action leaves in the cache beside the
// installed files.
type installedFile struct {
	Recipe  string  `json:"recipe"`
	Seconds float64 `json:"seconds"`
	Resumed bool    `json:"resumed,omitempty"` // after a failure
}

// writeLast keeps the action for explanations of later rebuilds.
func (e *Engine) writeLast(a *action, actionKey string) error {
	if err := e.Cache.writeJSON(a, "actions", actionKey+".json"); err != nil {
		return err
	}
	return e.Cache.writeJSON(a, "last", a.Name+".json")
}

// logFile opens the log of an action.
func (e *Engine) logFile(r *recipe.Recipe, action string) (*os.File, error) {
	f, err := os.OpenFile(e.Cache.logPath(r.Name, action), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	return f, explainDisk(err)
}
