package build

import (
	"context"
	"fmt"
	"os"

	"ashlar/pkgtool/build/recipe"
)

// With interface digests a result counts also for a build whose root differs
// only in the code of libraries that it is linked with. The key of a build is
// what it is without them, and so are the actions that packages name: a link
// leads from the key in which those packages count by their interface to the
// key of the result that was really made (docs/decisions/0058).

// found is a result in the cache.
type found struct {
	*result
	linked bool // made in a root of which only the code of libraries differs
}

// lookup returns the result of a key, or with interface digests one that will
// do; its result is nil where there is none.
func (e *Engine) lookup(ctx context.Context, r *recipe.Recipe, root *buildRoot, a *action, spec *packaging, resultKey string) (found, error) {
	res := e.readResult(resultKey)
	if !e.Interfaces || len(root.packages) == 0 {
		return found{result: res}, nil
	}
	loose, err := e.interfaceKey(ctx, root, a, spec)
	if err != nil {
		return found{}, fmt.Errorf("%s: %w", r.Name, err)
	}
	if res != nil {
		return found{result: res}, e.link(loose, resultKey)
	}
	var target string
	if !e.Cache.readJSON(&target, "links", loose+".json") {
		return found{}, nil
	}
	res = e.readResult(target)
	return found{res, res != nil}, nil
}

// link notes that a result will do for every build of a key.
func (e *Engine) link(loose, resultKey string) error {
	var old string
	if e.Cache.readJSON(&old, "links", loose+".json") && old == resultKey {
		return nil
	}
	return e.Cache.writeJSON(resultKey, "links", loose+".json")
}

// noteInterface links what was just built.
func (e *Engine) noteInterface(ctx context.Context, root *buildRoot, a *action, spec *packaging, resultKey string) error {
	if !e.Interfaces || len(root.packages) == 0 {
		return nil
	}
	loose, err := e.interfaceKey(ctx, root, a, spec)
	if err != nil {
		return err
	}
	return e.link(loose, resultKey)
}

// interfaceKey is the key of a build in which packages that it is only linked
// with count by their interface. Tools, with all they need to run, count in
// full.
func (e *Engine) interfaceKey(ctx context.Context, root *buildRoot, a *action, spec *packaging) (string, error) {
	loose := *a
	loose.Root = nil
	for _, p := range root.packages {
		digest := p.digest
		if !root.runs[p.manifest.Name] {
			var err error
			if digest, err = e.interfaceOf(ctx, p); err != nil {
				return "", err
			}
			digest = "interface " + digest
		}
		loose.Root = append(loose.Root, digested{p.manifest.Name, digest})
	}
	packed := *spec
	packed.Action = key(loose)
	return key(packed), nil
}

// interfaceOf returns a package's interface digest, which is computed once.
func (e *Engine) interfaceOf(ctx context.Context, p *builtPackage) (string, error) {
	var known struct {
		Format int
		Digest string
	}
	if e.Cache.readJSON(&known, "interfaces", p.sha256+".json") && known.Format == interfaceFormat {
		return known.Digest, nil
	}
	dir, err := e.treeOf(ctx, p)
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if known.Digest, err = interfaceDigest(root, p.manifest); err != nil {
		return "", err
	}
	known.Format = interfaceFormat
	return known.Digest, e.Cache.writeJSON(known, "interfaces", p.sha256+".json")
}
