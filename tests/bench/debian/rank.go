package debian

import (
	"fmt"
	"slices"

	debversion "github.com/knqyf263/go-deb-version"
)

// Ranks maps Debian's versions to semantic versions, for each name by itself:
// the lowest version that is written anywhere for the name is 1.0.0, the next
// 2.0.0, and so on; versions that Debian holds equal are equal. So every
// comparison of two versions of a name comes out as in Debian, and a relation
// with the translated version holds exactly if the original does.
type Ranks struct {
	seen  map[string]map[string]bool // name -> versions, while collecting
	ranks map[string]map[string]int  // name -> version -> rank from 1
}

// NewRanks makes an empty mapping.
func NewRanks() *Ranks {
	return &Ranks{seen: map[string]map[string]bool{}}
}

// Add notes a version that is written for a name; all come before Order.
func (r *Ranks) Add(name, version string) {
	if r.seen[name] == nil {
		r.seen[name] = map[string]bool{}
	}
	r.seen[name][version] = true
}

// Order sorts the versions of every name.
func (r *Ranks) Order() error {
	r.ranks = make(map[string]map[string]int, len(r.seen))
	type parsed struct {
		text    string
		version debversion.Version
	}
	for name, versions := range r.seen {
		var list []parsed
		for text := range versions {
			v, err := debversion.NewVersion(text)
			if err != nil {
				return fmt.Errorf("version %q of %s: %w", text, name, err)
			}
			list = append(list, parsed{text, v})
		}
		slices.SortFunc(list, func(a, b parsed) int { return a.version.Compare(b.version) })
		ranks, rank := make(map[string]int, len(list)), 0
		for i, p := range list {
			if i == 0 || p.version.Compare(list[i-1].version) != 0 {
				rank++
			}
			ranks[p.text] = rank
		}
		r.ranks[name] = ranks
	}
	return nil
}

// Semver is the semantic version that a Debian version of a name has become.
func (r *Ranks) Semver(name, version string) string {
	return fmt.Sprintf("%d.0.0", r.ranks[name][version])
}

// constraint is the condition of a relation in the language of semver.
func (r *Ranks) constraint(rel Relation) string {
	if rel.Operator == "" {
		return ""
	}
	operator := map[string]string{"<<": "<", "<=": "<=", "=": "=", ">=": ">=", ">>": ">"}[rel.Operator]
	return " " + operator + r.Semver(rel.Name, rel.Version)
}
