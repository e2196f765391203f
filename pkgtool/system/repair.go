package system

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"
)

// damagedObject is an object of the store that is not what its name says.
type damagedObject struct {
	path string
	made bool // its content comes from a package
}

// PlanRepair plans to put right what Verify found: the package's files are
// written again, edited ones are kept aside; configuration files are left alone.
// packages hold content that the store has lost, and must be packages of a
// generation that is still there; without them, Commit takes damaged objects out
// of the store, so that nobody uses them, and files whose content is lost are an
// error of PlanRepair.
func (s *System) PlanRepair(ctx context.Context, problems []Problem, packages []*pkgfile.Package) (*Plan, error) {
	t := &target{next: s.newGeneration("repair", nil, time.Now()), contents: map[string]*pkgfile.Package{}, again: map[string]bool{}}
	t.next.Packages, t.next.Generated = s.generation.Packages, s.generation.Generated
	for _, pkg := range packages {
		t.contents[pkg.ManifestSHA256()] = pkg
		s.manifests[pkg.ManifestSHA256()] = pkg.Manifest()
	}
	restore := map[string]bool{}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Path, stateDir+"/store/") {
			t.objects = append(t.objects, damagedObject{path: problem.Path})
		}
		if hash, isManifest := strings.CutPrefix(problem.Path, manifestsDir+"/"); isManifest {
			t.again[strings.TrimSuffix(hash, ".json")] = true
		}
		if problem.Config || problem.Package == "" || strings.HasPrefix(problem.Path, stateDir+"/") {
			continue
		}
		restore[problem.Path] = true
		if err := s.again(t, problem); err != nil {
			return nil, err
		}
	}
	forced := s.inPlace
	s.inPlace = true // a few files in place cost less than a tree
	defer func() { s.inPlace = forced }()
	p, err := s.plan(ctx, t, restore)
	if err != nil {
		return nil, err
	}
	if len(restore) > 0 || len(t.objects) > 0 { // the spare may share what is damaged
		p.late = append(p.late, operation{Do: doUnlink, Path: spareRoot + "/" + identityPath})
	}
	return p, p.planObjects(packages)
}

// again marks the packages that own a path to write again; of a hard link the
// file that it names too.
func (s *System) again(t *target, problem Problem) error {
	for _, r := range s.Builds(problem.Package) {
		m, err := s.Manifest(r)
		if err != nil {
			return err
		}
		if m.File(problem.Path) != nil {
			t.again[r.Manifest] = true
		}
	}
	return nil
}

// planObjects finds the content of damaged objects in the packages.
func (p *Plan) planObjects(packages []*pkgfile.Package) error {
	objects := p.target.objects
	if len(objects) == 0 {
		return nil
	}
	byPath := map[string]*damagedObject{}
	for i := range objects {
		byPath[objects[i].path] = &objects[i]
	}
	for _, w := range p.wanted { // to write files again
		if w.object != nil && byPath[objectPath(w.object.Key())] != nil {
			byPath[objectPath(w.object.Key())].made = true
		}
	}
	for _, pkg := range packages {
		m := &member{manifest: pkg.Manifest(), content: pkg}
		for i := range m.manifest.Files {
			f := &m.manifest.Files[i]
			if f.Type != pkgfile.TypeFile || f.Size == 0 || !p.owners.knows(f) {
				continue
			}
			e := entry{m, f, f}
			o, err := p.owners.object(e)
			if err != nil {
				return err
			}
			if d := byPath[objectPath(o.Key())]; d != nil && !d.made {
				d.made = true
				p.wanted = append(p.wanted, wanted{e, o})
			}
		}
	}
	return nil
}

// refill makes an object again if it is damaged or missing.
func (p *Plan) refill(ctx context.Context, o *store.Object, data []byte, stream io.Reader) error {
	if err := p.system.store.Check(ctx, o); err == nil {
		return nil
	}
	if stream == nil {
		stream = bytes.NewReader(data)
	}
	return p.system.store.Replace(o, o.Time, stream)
}

// dropDamaged takes objects out of the store that nobody can make again.
func (p *Plan) dropDamaged() error {
	for _, o := range p.target.objects {
		if o.made {
			continue
		}
		if name := strings.ReplaceAll(strings.TrimPrefix(o.path, stateDir+"/store/"), "/", ""); !isHex(name) {
			return fmt.Errorf("%s is no object", o.path)
		}
		if err := p.system.disk.unlink(o.path); err != nil {
			return err
		}
	}
	return nil
}

func isHex(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == len(store.Key{})
}

// proved reports whether the store has an object that is what its name says.
func (s *System) proved(ctx context.Context, o *store.Object) (bool, error) {
	if s.store == nil {
		return false, nil
	}
	err := s.store.Check(ctx, o)
	return err == nil, ctx.Err()
}
