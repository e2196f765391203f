package build

import (
	"debug/elf"
	"fmt"
	"slices"
)

// Symbol versions, as the GNU tools write them (LSB Core, chapter "Symbol
// Versioning"): a library defines named sets of symbols, and what is linked
// with it remembers from which sets it took some. The loader refuses a program
// whose library has not got a set, so sets are capabilities of their own:
// symver(libc.so.6:GLIBC_2.34).

// symbolVersions are those of one program or library.
type symbolVersions struct {
	defines []string            // names of sets, without the one for the library itself
	needs   map[string][]string // soname -> sets that must be there
}

func readVersions(f *elf.File) (symbolVersions, error) {
	v := symbolVersions{needs: map[string][]string{}}
	if f.SectionByType(elf.SHT_GNU_VERSYM) == nil {
		return v, nil
	}
	defined, err := f.DynamicVersions()
	if err != nil {
		return v, fmt.Errorf("versions of its symbols: %w", err)
	}
	for _, d := range defined {
		if d.Flags&elf.VER_FLG_BASE == 0 {
			v.defines = append(v.defines, d.Name)
		}
	}
	needed, err := f.DynamicVersionNeeds()
	if err != nil {
		return v, fmt.Errorf("versions of symbols it needs: %w", err)
	}
	for _, n := range needed {
		for _, d := range n.Needs {
			if d.Flags&elf.VER_FLG_WEAK == 0 {
				v.needs[n.Name] = append(v.needs[n.Name], d.Dep)
			}
		}
	}
	return v, nil
}

// symver names the capability of a set of symbols.
func symver(library, set string) string { return "symver(" + library + ":" + set + ")" }

// linkVersions turns the sets of symbols that a program takes from one library
// into requires. own says that the library belongs to this recipe, to package
// owner (negative for a library that no other package can see).
func (n *needFinder) linkVersions(i int, facts *elfFacts, library string, own bool, owner int) {
	for _, set := range slices.Compact(slices.Sorted(slices.Values(facts.versions.needs[library]))) {
		capability := symver(library, set)
		name := library + ":" + set
		switch {
		case own:
			if sets := n.defined[library]; len(sets) > 0 && !sets[set] && !n.allowed("symver", name) {
				n.problem("symver: /%s needs the symbols %s of %s, which this recipe installs without them; link it with the library of the same build",
					facts.path, set, library)
			}
			if owner >= 0 && owner != i {
				n.require(i, "symver", capability)
			}
		case n.outside.find(capability) != nil:
			n.require(i, "symver", capability)
		case n.allowed("symver", name):
		default:
			n.problem("symver: /%s needs the symbols %s of %s, which %s has not got; build it with the libraries of packages in build.libs only",
				facts.path, set, library, n.providerOf(library))
		}
	}
}

// providerOf names the package of the build root that has a library.
func (n *needFinder) providerOf(library string) string {
	if p := n.outside.find("soname(" + library + ")"); p != nil {
		return "the package " + p.manifest.Name
	}
	return "no package of the build root"
}

// define notes the sets of a library of this recipe.
func (n *needFinder) define(library string, facts *elfFacts) {
	if n.defined[library] == nil {
		n.defined[library] = map[string]bool{}
	}
	for _, set := range facts.versions.defines {
		n.defined[library][set] = true
	}
}
