package system

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Owners returns the names of the installed packages that own a path. It reads
// the bytes of manifests, those that the index names if there is one, and parses
// none.
func (s *System) Owners(path string) ([]string, error) {
	text, err := pathText(path)
	if err != nil {
		return nil, err
	}
	numbers := s.candidates(path)
	var names []string
	for _, n := range numbers {
		r := s.generation.Packages[n]
		raw, err := s.disk.readFile(manifestPath(r.Manifest), maxManifest)
		if err != nil {
			return nil, damaged(fmt.Errorf("read the manifest of %s: %w", r.Name, err))
		}
		if bytes.Contains(raw, text) {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// candidates returns the numbers of the packages that may own a path: all, if
// there is no index.
func (s *System) candidates(path string) []int {
	var numbers []int
	if o, err := s.readOwnership(s.generation); err == nil {
		for _, n := range append(o.file(path), o.listed(path)...) {
			if n < len(s.generation.Packages) {
				numbers = append(numbers, n)
			}
		}
		return numbers
	}
	for n := range s.generation.Packages {
		numbers = append(numbers, n)
	}
	return numbers
}

// pathText is how a manifest, which is canonical JSON, names a path. In a string
// it would have its quotes escaped, so it is found nowhere else.
func pathText(path string) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(path); err != nil {
		return nil, err
	}
	return append([]byte(`"path":`), bytes.TrimSuffix(out.Bytes(), []byte("\n"))...), nil
}
