package seed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// rules counts the changes of how a layer is made from its packages: it is
// part of every layer's digest.
const rules = 1

// Names of the layers that have a meaning of their own.
const (
	BaseLayer    = "base"     // always under a build root
	LibcDevLayer = "libc-dev" // C library headers and start files: first stage only
)

// Lock is recipes/seed.lock.
type Lock struct {
	Schema       int                 `yaml:"schema"`
	Distribution string              `yaml:"distribution"`
	Release      string              `yaml:"release"` // point release the index was taken from
	Suite        string              `yaml:"suite"`   // code name
	Arch         string              `yaml:"arch"`    // Debian's name
	Wanted       map[string][]string `yaml:"wanted"`  // by layer: what a person asked for
	Without      []string            `yaml:"without"` // dependencies that are not followed
	Layers       map[string][]Entry  `yaml:"layers"`
}

// Entry is one pinned package, or a Go module unpacked into a folder.
type Entry struct {
	Path   string `yaml:"path,omitempty"`   // pool/... of the archive
	SHA256 string `yaml:"sha256,omitempty"` // lower-case hex
	Size   int64  `yaml:"size,omitempty"`   // bytes
	GoMod  string `yaml:"gomod,omitempty"`  // module@version
	H1     string `yaml:"h1,omitempty"`     // the module's sum
	Into   string `yaml:"into,omitempty"`   // folder the module goes to
}

// Name is the package's name.
func (e Entry) Name() string {
	if e.GoMod != "" {
		name, _, _ := strings.Cut(e.GoMod, "@")
		return name
	}
	name, _, _ := strings.Cut(path.Base(e.Path), "_")
	return name
}

// Version is the package's version as its file name has it (without epoch).
func (e Entry) Version() string {
	if e.GoMod != "" {
		_, version, _ := strings.Cut(e.GoMod, "@")
		return version
	}
	parts := strings.Split(path.Base(e.Path), "_")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

// Source is where the entry is fetched from.
func (e Entry) Source() source.Source {
	if e.GoMod != "" {
		return source.Source{URIs: []string{"gomod://" + e.GoMod}, H1: e.H1}
	}
	return source.Source{URIs: []string{"mirror://debian/" + e.Path}, SHA256: e.SHA256, Size: e.Size}
}

// ReadLock reads and checks a lock file. Errors are of class fault.Usage.
func ReadLock(path string) (*Lock, error) {
	l := &Lock{}
	if err := strictyaml.ReadFile(path, l); err != nil {
		return nil, err
	}
	if err := l.check(); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "pkgtool seed lock makes it anew")
	}
	return l, nil
}

func (l *Lock) check() error {
	if l.Schema != 1 {
		return fmt.Errorf("schema %d is not known to this version; it knows 1", l.Schema)
	}
	if l.Distribution != "debian" {
		return fmt.Errorf("distribution %q is not debian", l.Distribution)
	}
	if !layerName(l.Suite) || !layerName(l.Arch) {
		return fmt.Errorf("suite %q and arch %q must be plain names", l.Suite, l.Arch)
	}
	if len(l.Layers) == 0 {
		return fmt.Errorf("no layers")
	}
	where := map[string]string{}
	for _, layer := range l.LayerNames() {
		if !layerName(layer) {
			return fmt.Errorf("layer name %q is not lower-case letters, digits and dashes", layer)
		}
		for i, e := range l.Layers[layer] {
			if err := e.check(); err != nil {
				return fmt.Errorf("layer %s, entry %d: %w", layer, i+1, err)
			}
			if other, twice := where[e.Name()]; twice {
				return fmt.Errorf("package %s is in layers %s and %s", e.Name(), other, layer)
			}
			where[e.Name()] = layer
		}
	}
	return nil
}

func layerName(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

func (e Entry) check() error {
	if (e.Path == "") == (e.GoMod == "") {
		return fmt.Errorf("needs exactly one of path and gomod")
	}
	if e.GoMod != "" {
		if e.Into == "" || path.Clean(e.Into) != e.Into || !strings.HasPrefix(e.Into, "usr/") || strings.Contains(e.Into, "..") {
			return fmt.Errorf("%s: into %q is not a clean folder below usr/", e.GoMod, e.Into)
		}
	} else if !strings.HasPrefix(e.Path, "pool/") || path.Clean(e.Path) != e.Path || !strings.HasSuffix(e.Path, ".deb") {
		return fmt.Errorf("path %.200q is not pool/....deb", e.Path)
	} else if e.Size <= 0 {
		return fmt.Errorf("%s: no size", e.Path)
	}
	return e.Source().Check()
}

// LayerNames returns the layers' names, sorted.
func (l *Lock) LayerNames() []string {
	var names []string
	for name := range l.Layers {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// LayerOf returns the layer that is called name or has the package name.
func (l *Lock) LayerOf(name string) (layer string, ok bool) {
	if _, ok := l.Layers[name]; ok {
		return name, true
	}
	for layer, entries := range l.Layers {
		if slices.ContainsFunc(entries, func(e Entry) bool { return e.Name() == name }) {
			return layer, true
		}
	}
	return "", false
}

// Digest is the SHA-256, in hex, over all that decides the layer's tree: its
// name, its packages' sums, and the rules by which they are unpacked. It is ""
// for a layer that does not exist.
func (l *Lock) Digest(layer string) string {
	entries, ok := l.Layers[layer]
	if !ok {
		return ""
	}
	var all []string
	for _, e := range entries {
		all = append(all, fmt.Sprintf("%s %s%s %s\n", e.Name(), e.SHA256, e.H1, e.Into))
	}
	sort.Strings(all)
	sum := sha256.New()
	fmt.Fprintf(sum, "ashlar seed layer\nrules %d\nlayer %s\narch %s\n", rules, layer, l.Arch)
	for _, line := range all {
		sum.Write([]byte(line))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

const lockComment = `# The tool chain that the first build starts from: packages of one Debian release, by pool path, SHA-256 and size.
#
# Made by "pkgtool seed lock" from the signed index of the suite below. Edit "wanted" and "without", then run it again:
# a layer holds what is wanted in it and all that depends on, unless an earlier layer (base, libc-dev, gcc, extra) has
# it. Dependencies on packages whose name ends in -dev are not followed, and the C library's own -dev packages are in
# layer libc-dev alone: nothing else in a build root may offer headers or libraries of the seed.
# docs/formats/seed.md says how a layer is unpacked.
`

// Marshal returns the lock as the text of its file.
func (l *Lock) Marshal() []byte {
	var b bytes.Buffer
	b.WriteString(lockComment)
	fmt.Fprintf(&b, "schema: %d\ndistribution: %s\nrelease: %q\nsuite: %s\narch: %s\n", l.Schema, l.Distribution, l.Release, l.Suite, l.Arch)
	b.WriteString("wanted:\n")
	for _, layer := range order(l.Wanted) {
		fmt.Fprintf(&b, "  %s:\n", layer)
		writeFlow(&b, "    ", l.Wanted[layer])
	}
	b.WriteString("without:\n")
	writeFlow(&b, "  ", l.Without)
	b.WriteString("layers:\n")
	for _, layer := range order(l.Layers) {
		fmt.Fprintf(&b, "  %s:\n", layer)
		for _, e := range l.Layers[layer] {
			if e.GoMod != "" {
				fmt.Fprintf(&b, "    - {gomod: %s, h1: %q, into: %s}\n", e.GoMod, e.H1, e.Into)
			} else {
				fmt.Fprintf(&b, "    - {path: %q, sha256: %q, size: %d}\n", e.Path, e.SHA256, e.Size)
			}
		}
	}
	return b.Bytes()
}

// writeFlow writes words as one YAML list in lines of bounded length.
func writeFlow(b *bytes.Buffer, indent string, words []string) {
	line := indent + "["
	for i, w := range words {
		if i < len(words)-1 {
			w += ","
		}
		if len(line)+len(w) > 118 {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent + " "
		}
		line += w + " "
	}
	b.WriteString(strings.TrimRight(line, " ") + "]\n")
}
