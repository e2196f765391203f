package catalogue

import (
	"bytes"
	"strings"
)

// Hit is a package that a search found.
type Hit struct {
	Name    string
	Package int // its number
	Rank    int // lower is better
}

// How well a word fits a package; a search adds them up.
const (
	isName = iota
	beginsName
	inName
	beginsWord // of the summary
	inSummary
)

// Search finds the packages whose name or summary has all the words, whatever
// their case. Of several packages of a name it returns the last, which is the
// newest. Hits are in the order of names.
func (c *Catalogue) Search(words []string) ([]Hit, error) {
	var wanted [][]byte
	for _, w := range words {
		if w = strings.ToLower(w); w != "" {
			wanted = append(wanted, []byte(w))
		}
	}
	var hits []Hit
	err := c.eachText(func(i int, name, summary []byte) bool {
		rank, ok := fit(name, summary, wanted)
		if last := len(hits) - 1; last >= 0 && hits[last].Name == string(name) {
			hits = hits[:last]
		}
		if ok {
			hits = append(hits, Hit{string(name), i, rank})
		}
		return true
	})
	return hits, err
}

func fit(name, summary []byte, words [][]byte) (rank int, ok bool) {
	for _, w := range words {
		at := bytes.Index(name, w)
		if at >= 0 {
			switch {
			case len(w) == len(name):
				rank += isName
			case at == 0:
				rank += beginsName
			default:
				rank += inName
			}
			continue
		}
		at = bytes.Index(summary, w)
		switch {
		case at < 0:
			return 0, false
		case at == 0 || summary[at-1] == ' ':
			rank += beginsWord
		default:
			rank += inSummary
		}
	}
	return rank, true
}

// Names lists the names that begin with prefix, each once, in order, at most
// limit; 0 is no limit.
func (c *Catalogue) Names(prefix string, limit int) ([]string, error) {
	var names []string
	err := c.eachText(func(_ int, name, _ []byte) bool {
		if bytes.HasPrefix(name, []byte(prefix)) && (len(names) == 0 || names[len(names)-1] != string(name)) {
			names = append(names, string(name))
		}
		return limit == 0 || len(names) < limit
	})
	return names, err
}

// eachText calls do with the name and the summary, in lower case, of each
// package, until it returns false.
func (c *Catalogue) eachText(do func(i int, name, summary []byte) bool) error {
	text, err := c.bytes(c.sizes.textsBegin(), c.sizes.recordBegin())
	if err != nil {
		return err
	}
	for i := range c.Len() {
		end := bytes.IndexByte(text, '\n')
		middle := bytes.IndexByte(text, 0)
		if middle < 0 || end < middle {
			return damaged("a text that is not one")
		}
		if !do(i, text[:middle], text[middle+1:end]) {
			return nil
		}
		text = text[end+1:]
	}
	return nil
}
