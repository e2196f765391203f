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
// their case. Of several packages of a name it looks at the last, which is the
// newest. Hits are in the order of names.
func (c *Catalogue) Search(words []string) ([]Hit, error) {
	var wanted [][]byte
	var longest []byte
	for _, w := range words {
		w := []byte(strings.ToLower(w))
		wanted = append(wanted, w)
		if len(w) > len(longest) {
			longest = w
		}
	}
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	var hits []Hit
	// What is in few packages is found fastest by looking at all of them at once.
	for counted, at, number := 0, 0, 0; at < len(text); {
		found := bytes.Index(text[at:], longest)
		if found < 0 {
			break
		}
		begin := bytes.LastIndexByte(text[:at+found], '\n') + 1
		number += bytes.Count(text[counted:begin], []byte{'\n'})
		counted = begin
		name, summary, rest, err := cutText(text[begin:])
		if err != nil {
			return nil, err
		}
		at = len(text) - len(rest)
		if bytes.HasPrefix(rest, text[begin:begin+len(name)+1]) {
			continue // a newer one follows
		}
		if rank, ok := fit(name, summary, wanted); ok {
			hits = append(hits, Hit{string(name), number, rank})
		}
	}
	return hits, nil
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
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	var names []string
	for len(text) > 0 && (limit == 0 || len(names) < limit) {
		name, _, rest, err := cutText(text)
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(name, []byte(prefix)) && (len(names) == 0 || names[len(names)-1] != string(name)) {
			names = append(names, string(name))
		}
		text = rest
	}
	return names, nil
}

// text is name and summary, in lower case, of each package.
func (c *Catalogue) text() ([]byte, error) {
	text, err := c.bytes(c.sizes.textsBegin(), c.sizes.recordBegin())
	if err == nil && int64(bytes.Count(text, []byte{'\n'})) != c.sizes.packages {
		err = damaged("%d packages without as many texts", c.sizes.packages)
	}
	return text, err
}

// cutText returns the first name and summary of texts, and the rest.
func cutText(text []byte) (name, summary, rest []byte, err error) {
	line, rest, ended := bytes.Cut(text, []byte{'\n'})
	name, summary, named := bytes.Cut(line, []byte{0})
	if !ended || !named {
		return nil, nil, nil, damaged("a text that is not one")
	}
	return name, summary, rest, nil
}
