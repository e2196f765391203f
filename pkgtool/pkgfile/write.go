package pkgfile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/signing"
)

// Input is one file to put into a package. The writer fills in SHA256, Frame
// and Offset, and Size, which need not be given: content of more than 4 MiB
// whose size is neither given nor known to its reader's Stat is read twice.
type Input struct {
	File
	// Open returns the content of a file; for other types it is not called.
	Open func() (io.ReadCloser, error)
}

// Options of Write. The zero value writes an unsigned package.
type Options struct {
	Compression string                // one of Compressions; "" means zstd
	Level       int                   // of zstd, 1 to 22; 0 means DefaultLevel
	Signers     []*signing.PrivateKey // each adds a signature
	SpoolDir    string                // for a temporary file as long as the package; "" means the system's
	Jobs        int                   // frames compressed at a time; 0 means one per core. It does not change the output
}

// Write writes a package with m's fields and the inputs' files, and returns the
// complete manifest. Inputs may come in any order; of the names of one hard
// linked file, the first in path order becomes the file. The lists of m are
// sorted. Nothing is written to w before all inputs are read and good.
//
// Memory does not grow with the size of the files. Wrong inputs are of class
// fault.Usage.
func Write(ctx context.Context, w io.Writer, m Manifest, inputs []Input, opts Options) (*Manifest, error) {
	m = normalized(m)
	kind, err := codecNamed(opts.Compression)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("package %s: %w", m.Name, err), fault.Usage, "")
	}
	inputs, err = orderInputs(inputs)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("package %s: %w", m.Name, err), fault.Usage, "")
	}
	data := &spool{dir: opts.SpoolDir}
	defer data.discard()
	if err := writeData(ctx, data, &m, inputs, kind, opts); err != nil {
		return nil, fmt.Errorf("package %s: %w", m.Name, err)
	}
	if err := m.validate(); err != nil {
		return nil, fault.Mark(fmt.Errorf("package %s: %w", m.Name, err), fault.Usage, "")
	}
	raw, err := m.encode()
	if err != nil {
		return nil, fmt.Errorf("package %s: encode manifest: %w", m.Name, err)
	}
	signatures, err := sign(&m, raw, opts.Signers)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", m.Name, err)
	}
	meta, err := encodeMeta(kind, raw, signatures)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", m.Name, err)
	}
	if _, err := w.Write(meta); err != nil {
		return nil, fmt.Errorf("package %s: write: %w", m.Name, err)
	}
	if err := data.copyTo(w); err != nil {
		return nil, fmt.Errorf("package %s: write: %w", m.Name, err)
	}
	return &m, nil
}

// normalized returns m without what the writer fills in, lists in canonical
// order, sharing no memory with m.
func normalized(m Manifest) Manifest {
	m.Format = FormatVersion
	m.Files, m.Frames, m.InstalledSize = nil, nil, 0
	for _, list := range []*[]string{&m.Requires, &m.Conflicts, &m.Replaces, &m.Recommends, &m.Supplements} {
		*list = canonicalList(*list, canonicalDependency)
	}
	m.Provides = canonicalList(m.Provides, canonicalProvide)
	m.Triggers = canonicalTriggers(m.Triggers)
	m.Provenance.Sources = slices.Clone(m.Provenance.Sources)
	return m
}

// orderInputs sorts by path, gives each hard linked file to its first name, and
// checks all that can be checked before any content is read.
func orderInputs(inputs []Input) ([]Input, error) {
	inputs = slices.Clone(inputs)
	index := make(map[string]int, len(inputs))
	for i := range inputs {
		in := &inputs[i]
		if _, twice := index[in.Path]; twice {
			return nil, fmt.Errorf("file %.200q is given twice", in.Path)
		}
		index[in.Path] = i
		in.SHA256, in.Frame, in.Offset = "", 0, 0
		in.Xattrs = maps.Clone(in.Xattrs)
		if len(in.Xattrs) == 0 {
			in.Xattrs = nil
		}
		if in.Type != TypeFile {
			in.Size = 0
		}
	}
	first := map[string]string{} // linked file -> its first name
	for _, in := range inputs {
		if in.Type != TypeHardlink {
			continue
		}
		t, ok := index[in.Target]
		if !ok || inputs[t].Type != TypeFile {
			return nil, fmt.Errorf("file %.200q: hard link to %.200q, which is not a file of this package", in.Path, in.Target)
		}
		if name, ok := first[in.Target]; !ok || in.Path < name {
			first[in.Target] = min(in.Path, in.Target)
		}
	}
	for i := range inputs {
		in := &inputs[i]
		switch {
		case in.Type == TypeHardlink && first[in.Target] == in.Path:
			path, file := in.Path, inputs[index[in.Target]]
			*in = file
			in.Path = path
		case in.Type == TypeHardlink:
			*in = Input{File: File{Path: in.Path, Type: TypeHardlink, Target: first[in.Target]}}
		}
	}
	for target, name := range first {
		if name != target {
			inputs[index[target]] = Input{File: File{Path: target, Type: TypeHardlink, Target: name}}
		}
	}
	slices.SortFunc(inputs, func(a, b Input) int { return cmp.Compare(a.Path, b.Path) })
	for i := range inputs {
		f := inputs[i].File
		if f.Type == TypeFile {
			f.SHA256 = emptySHA256 // not known yet
			if inputs[i].Open == nil {
				return nil, fmt.Errorf("file %.200q: no content given", f.Path)
			}
		}
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("file %.200q: %w", f.Path, err)
		}
	}
	return inputs, nil
}

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sign returns a signature per key over the manifest's bytes. It bears the
// package's epoch, or the key's creation if that is later.
func sign(m *Manifest, raw []byte, keys []*signing.PrivateKey) (map[string][]byte, error) {
	signatures := map[string][]byte{}
	for _, key := range keys {
		signature, err := key.SignAt(raw, time.Unix(m.Provenance.Epoch, 0))
		if err != nil {
			return nil, err
		}
		signatures[key.Fingerprint()] = signature
	}
	return signatures, nil
}
