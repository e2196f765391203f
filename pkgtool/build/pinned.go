package build

import (
	"path/filepath"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
)

// pinned is a source of a recipe as the fetcher takes it. Sources that are
// folders of the project or lists of Go modules are none.
func pinned(r *recipe.Recipe, s *recipe.Source) source.Source {
	p := source.Source{ID: s.ID, URIs: s.URLs, Git: s.GitCommit(), SHA256: s.SHA256, H1: s.H1, Size: s.Size, Base: r.Dir()}
	if s.Signature != nil {
		// Keys are judged at the recipe's day, so that a build does not end
		// because an upstream key expired since.
		p.Signature = &source.Signature{URI: s.Signature.URL, At: time.Unix(r.EpochOf(), 0).Add(24 * time.Hour)}
		for _, key := range s.Signature.Keys {
			p.Signature.Keys = append(p.Signature.Keys, filepath.Join(r.Dir(), key))
		}
	}
	return p
}

// PinnedSources lists every file that recipes fetch, also those of Go module
// lists, in the order of the recipes.
func PinnedSources(tree *recipe.Tree, recipes []*recipe.Recipe) ([]source.Source, error) {
	var all []source.Source
	for _, r := range recipes {
		for i := range r.Sources {
			s := &r.Sources[i]
			switch {
			case s.Tree != "":
			case s.GoSum != "":
				sums, err := tree.ProjectPath(s.GoSum)
				if err != nil {
					return nil, err
				}
				modules, err := source.GoModules(sums)
				if err != nil {
					return nil, err
				}
				all = append(all, modules...)
			default:
				all = append(all, pinned(r, s))
			}
		}
	}
	return all, nil
}
