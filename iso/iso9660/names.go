package iso9660

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// nameChildren gives every child a unique 8.3 identifier and puts the children
// in the order of identifiers, as the standard wants. Readers without Rock
// Ridge see these names; nobody we know is one.
func (d *record) nameChildren() error {
	used := map[string]bool{}
	next := map[string]int{} // where to go on counting, so that a crowd costs no more than its size
	for _, c := range d.children {
		base, ext := c.Name, ""
		if i := strings.LastIndexByte(c.Name, '.'); i > 0 && !c.IsDir() {
			base, ext = c.Name[:i], c.Name[i+1:]
		}
		base, ext = identifier(base, 8), identifier(ext, 3)
		for {
			n := next[base+"."+ext]
			next[base+"."+ext] = n + 1
			candidate := base
			if n > 0 {
				digits := strconv.Itoa(n)
				if len(digits) > 7 {
					return fmt.Errorf("%s: too many names like it in one folder", c.Path)
				}
				candidate = base[:min(len(base), 8-len(digits))] + digits
			}
			if !c.IsDir() {
				candidate += "." + ext + ";1"
			}
			if !used[candidate] {
				used[candidate] = true
				c.name = candidate
				break
			}
		}
	}
	sort.Slice(d.children, func(i, j int) bool { return d.children[i].name < d.children[j].name })
	return nil
}

// identifier keeps up to n characters that the standard allows.
func identifier(s string, n int) string {
	var b strings.Builder
	for _, c := range strings.ToUpper(s) {
		if b.Len() == n {
			break
		}
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		} else {
			b.WriteByte('_')
		}
	}
	return b.String()
}
