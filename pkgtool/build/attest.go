package build

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"ashlar/pkgtool/build/attest"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/sbom"
)

// attestSuffix ends the name of a provenance document, as in-toto's tools
// expect it.
const attestSuffix = ".intoto.jsonl"

// attest writes into the folder e.Attest how a recipe's packages were built
// (NAME-VERSION.intoto.jsonl, signed where the engine signs) and a bill of
// materials of each (PACKAGE.spdx.json). What stands there already and is the
// same is left alone.
func (e *Engine) attest(ctx context.Context, r *recipe.Recipe, root *buildRoot, a *action, actionKey string, out *outcome) error {
	if e.Attest == "" {
		return nil
	}
	if err := os.MkdirAll(e.Attest, 0o755); err != nil {
		return err
	}
	b := &attest.Build{
		Recipe: r.Name, Version: r.EVR().String(), Arch: e.Tree.Arch, Action: actionKey, Env: a.Env, Builder: ownVersion(),
		Options: e.chosenOptions(r),
	}
	if e.Signer != nil {
		b.Key = e.Signer.Fingerprint()
	}
	var err error
	if b.File, err = e.digests.sum(filepath.Join(r.Dir(), recipe.FileName)); err != nil {
		return err
	}
	if b.Materials, err = e.materials(r, root, a); err != nil {
		return fmt.Errorf("attest %s: %w", r.Name, err)
	}
	for i, p := range out.packages {
		if err := e.attestPackage(ctx, b, p, out.built[i]); err != nil {
			return fmt.Errorf("attest %s: %w", p.manifest.Name, err)
		}
	}
	data, err := attest.Sign(b.Statement(), e.Signer)
	if err != nil {
		return fmt.Errorf("attest %s: %w", r.Name, err)
	}
	return writeNew(filepath.Join(e.Attest, r.Name+"-"+strings.ReplaceAll(r.EVR().String(), ":", "_")+attestSuffix), data)
}

// attestPackage makes a package a subject, and writes its bill of materials.
// The subject's digest is that of the file that the engine exported.
func (e *Engine) attestPackage(ctx context.Context, b *attest.Build, p *builtPackage, built Built) error {
	file, err := pkgfile.OpenFile(built.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum, err := e.digests.sum(built.Path)
	if err != nil {
		return err
	}
	b.Packages = append(b.Packages, attest.Descriptor{
		Name: built.File, Digest: attest.SHA256(sum),
		Annotations: map[string]any{"manifest": file.ManifestSHA256(), "unsigned": built.SHA256},
	})
	var doc bytes.Buffer
	if err := sbom.Write(ctx, &doc, file, sum); err != nil {
		return err
	}
	return writeNew(filepath.Join(e.Attest, strings.TrimSuffix(built.File, pkgfile.MediaSuffix)+".spdx.json"), doc.Bytes())
}

func writeNew(name string, data []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return explainDisk(durable.WriteFile(name, data, 0o644))
}

// materials are all inputs of a build by their digests.
func (e *Engine) materials(r *recipe.Recipe, root *buildRoot, a *action) ([]attest.Descriptor, error) {
	list := []attest.Descriptor{}
	for i := range r.Sources {
		more, err := e.sourceMaterials(&r.Sources[i])
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	for _, patch := range a.Patches {
		list = append(list, attest.Descriptor{Name: "recipe/" + patch.Name, Digest: attest.SHA256(patch.Digest), Annotations: map[string]any{"kind": "patch"}})
	}
	for _, f := range a.Files {
		if !slices.ContainsFunc(a.Patches, func(p patchInput) bool { return p.Name == f.Name }) {
			list = append(list, attest.Descriptor{Name: "recipe/" + f.Name, Digest: attest.SHA256(f.Digest), Annotations: map[string]any{"kind": "recipe file"}})
		}
	}
	for _, p := range root.packages {
		m := p.manifest
		evr, err := m.EVR()
		if err != nil {
			return nil, err
		}
		list = append(list, attest.Descriptor{
			Name: m.FileName(), URI: sbom.PURL(m.Name, evr, m.Arch), Digest: attest.SHA256(p.sha256),
			Annotations: map[string]any{"kind": "package", "action": m.Provenance.Action},
		})
	}
	for _, layer := range root.layers {
		list = append(list, e.layerMaterials(layer)...)
	}
	return list, nil
}

// sourceMaterials are the files that a source of a recipe stands for.
func (e *Engine) sourceMaterials(s *recipe.Source) ([]attest.Descriptor, error) {
	note := map[string]any{"kind": "source", "id": s.ID}
	switch {
	case s.Tree != "":
		files, err := e.treeFiles(s)
		if err != nil {
			return nil, err
		}
		return []attest.Descriptor{{Name: "tree:" + s.Tree, Digest: attest.SHA256(key(files)), Annotations: note}}, nil
	case s.GoSum != "":
		return e.goModules(s)
	case s.Git != "":
		return []attest.Descriptor{{URI: s.Places()[0], Digest: map[string]string{"gitCommit": s.Commit, "sha256": s.SHA256}, Annotations: note}}, nil
	case s.H1 != "":
		return []attest.Descriptor{{URI: source.Redact(s.URLs[0]), Digest: attest.DirHash(s.H1), Annotations: note}}, nil
	}
	return []attest.Descriptor{{URI: source.Redact(s.URLs[0]), Digest: attest.SHA256(s.SHA256), Annotations: note}}, nil
}

// goModules are the modules that a go.sum pins.
func (e *Engine) goModules(s *recipe.Source) ([]attest.Descriptor, error) {
	file, err := e.Tree.ProjectPath(s.GoSum)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []attest.Descriptor
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		list = append(list, attest.Descriptor{URI: "gomod://" + fields[0] + "@" + fields[1], Digest: attest.DirHash(fields[2]), Annotations: map[string]any{"kind": "module", "id": s.ID}})
	}
	return list, nil
}

// layerMaterials are a layer of the seed and the packages it was made of.
func (e *Engine) layerMaterials(layer string) []attest.Descriptor {
	digest := attest.SHA256(e.Seed.Digest(layer))
	if _, err := hex.DecodeString(digest["sha256"]); err != nil || len(digest["sha256"]) != 64 {
		digest = map[string]string{"ashlarLayer": e.Seed.Digest(layer)}
	}
	list := []attest.Descriptor{{Name: "seed/" + layer, Digest: digest, Annotations: map[string]any{"kind": "seed layer"}}}
	pinned, ok := e.Seed.(interface {
		Sources(layer string) []source.Source
	})
	if !ok {
		return list
	}
	for _, s := range pinned.Sources(layer) {
		d := attest.Descriptor{URI: s.URIs[0], Digest: attest.SHA256(s.SHA256), Annotations: map[string]any{"kind": "seed package", "layer": layer}}
		if s.H1 != "" {
			d.Digest = attest.DirHash(s.H1)
		}
		list = append(list, d)
	}
	return list
}

// Sources are the pinned packages of a layer.
func (s *lockedSeed) Sources(layer string) []source.Source {
	var list []source.Source
	for _, entry := range s.lock.Layers[layer] {
		list = append(list, entry.Source())
	}
	return list
}

// chosenOptions are the values of a recipe's options.
func (e *Engine) chosenOptions(r *recipe.Recipe) map[string]string { return r.Choices() }

// ownVersion is the version of this program, as Go recorded it.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}
