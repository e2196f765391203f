package web

import (
	"bytes"
	"encoding/hex"
	"iter"
	"slices"
	"strings"

	"ashlar/pkgtool/client/catalogue"
	"ashlar/repo"
	"ashlar/repo/index"
)

// shelf is one index, kept so that pages find in it what they show. It depends
// on the index's content alone, so it serves as long as that is published.
type shelf struct {
	repo.PublishedIndex
	*catalogue.Catalogue
	names    []string // of the packages, by number: sorted, several builds have the same
	provides []byte   // for each package what it provides, in lower case, ended by a line feed
	ends     []int    // of the packages in provides
}

func newShelf(i repo.PublishedIndex, entries []index.Entry) (*shelf, error) {
	var of [32]byte
	if _, err := hex.Decode(of[:], []byte(i.SHA256)); err != nil {
		return nil, err
	}
	data, err := catalogue.Encode(of, entries)
	if err != nil {
		return nil, err
	}
	s := &shelf{PublishedIndex: i, names: make([]string, len(entries)), ends: make([]int, len(entries))}
	if s.Catalogue, err = catalogue.Open(data, of); err != nil {
		return nil, err
	}
	for n := range entries {
		s.names[n] = strings.Clone(entries[n].Name) // the entry's texts may share memory with all of the index
		for _, text := range entries[n].Provides {
			s.provides = append(append(s.provides, strings.ToLower(text)...), 0)
		}
		s.provides = append(s.provides, '\n')
		s.ends[n] = len(s.provides)
	}
	s.provides = slices.Clip(s.provides)
	return s, nil
}

// named returns the numbers of the builds of a package, oldest first.
func (s *shelf) named(name string) (first, end int) {
	first, found := slices.BinarySearch(s.names, name)
	if !found {
		return 0, 0
	}
	for end = first; end < len(s.names) && s.names[end] == name; end++ {
	}
	return first, end
}

// providing finds the packages whose provides hold all words, in lower case, by
// number.
func (s *shelf) providing(words []string) iter.Seq[int] {
	longest := []byte(slices.MaxFunc(words, func(a, b string) int { return len(a) - len(b) }))
	return func(yield func(n int) bool) {
		for at := 0; at < len(s.provides); {
			found := bytes.Index(s.provides[at:], longest)
			if found < 0 {
				return
			}
			n, _ := slices.BinarySearch(s.ends, at+found+1)
			begin := 0
			if n > 0 {
				begin = s.ends[n-1]
			}
			line := s.provides[begin:s.ends[n]]
			at = s.ends[n]
			all := !slices.ContainsFunc(words, func(w string) bool { return !bytes.Contains(line, []byte(w)) })
			if all && !yield(n) {
				return
			}
		}
	}
}
