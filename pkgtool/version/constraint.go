package version

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// maxConstraint bounds the text of one constraint in bytes.
const maxConstraint = 500

// Constraint is a condition on versions. The zero value allows every version.
type Constraint struct {
	text   string
	groups []group // alternatives; none means everything is allowed
}

// group is one "and" list. The semver library judges the terms on the semantic
// version, but for comparisons with a full version, which every index has by the
// hundred thousand: those are judged here, as the terms with a release are.
type group struct {
	numbers  *semver.Constraints // nil when there is none
	releases []releaseTerm
	full     []fullTerm
}

type releaseTerm struct {
	op      string
	version Version
}

// fullTerm compares the semantic version with a full one.
type fullTerm struct {
	op      string
	version *semver.Version
}

// The operators' canonical spellings.
var spelling = map[string]string{"": "", "=>": ">=", "=<": "<=", "~>": "~"}

// ParseConstraint reads a constraint in the language of the semver library
// (https://github.com/Masterminds/semver): "^3.0", "~1.2.3", ">=2.36 <3",
// "1.x || >=3". An empty text or "*" allows everything.
//
// The condition is on the semantic version. A term whose version ends in
// "-number" means the release too: "=9.2.1-3" is exactly that build, and
// ">=9.2.1-3" any from it on; ^ and ~ take no release. An epoch is looked at
// only in such a term, and in one that states an epoch and a full version. Pre-releases count as ordinary versions: ">=1" allows
// 2.0.0-rc.1; "^1" and "<2.0.0-0", the library's idiom, do not.
func ParseConstraint(text string) (Constraint, error) {
	if len(text) > maxConstraint {
		return Constraint{}, fmt.Errorf("constraint %.40q... is longer than %d bytes", text, maxConstraint)
	}
	trimmed := strings.Trim(text, " \t")
	if trimmed == "" || trimmed == "*" {
		return Constraint{}, nil
	}
	var c Constraint
	var texts []string
	for alternative := range strings.SplitSeq(trimmed, "||") {
		g, canonical, err := parseGroup(strings.Trim(alternative, " \t"))
		if err != nil {
			return Constraint{}, fmt.Errorf("constraint %q: %w", text, err)
		}
		c.groups = append(c.groups, g)
		texts = append(texts, canonical)
	}
	c.text = strings.Join(texts, " || ")
	if len(c.groups) > semver.MaxConstraintGroups {
		return Constraint{}, fmt.Errorf("constraint %q has more than %d alternatives", text, semver.MaxConstraintGroups)
	}
	return c, nil
}

func parseGroup(text string) (g group, canonical string, err error) {
	var all, numbers []string
	for rest := text; rest != "" || len(all) == 0; {
		op, epoch, number, suffix, after, ok := cutTerm(rest)
		if !ok {
			return g, "", fmt.Errorf("%q is not an operator and a version such as >=1.2", rest)
		}
		rest = after
		if s, ok := spelling[op]; ok {
			op = s
		}
		if suffix != "" && (strings.Count(number, ".") != 2 || strings.ContainsAny(number, "xX*")) {
			return g, "", fmt.Errorf("%s%s needs a full version in front of the dash", number, suffix)
		}
		term, hasRelease, err := parseTerm(op, epoch, number+suffix)
		if err != nil {
			return g, "", err
		}
		switch {
		case hasRelease:
			g.releases = append(g.releases, term)
			all = append(all, op+term.version.String())
		case epoch != "" && op != "~" && op != "^" && strings.Count(number, ".") == 2 && !strings.ContainsAny(number, "xX*"):
			v, err := parseProvided(epoch + ":" + number + suffix)
			if err != nil {
				return g, "", err
			}
			g.releases = append(g.releases, releaseTerm{op, v})
			all = append(all, op+v.String())
		case epoch != "":
			return g, "", fmt.Errorf("epoch in %s%s:%s needs a full version after it", op, epoch, number)
		case plainComparison(op, number):
			zeros := strings.Repeat(".0", 2-strings.Count(number, "."))
			v, err := parseNumber(number + zeros + suffix)
			if err != nil {
				return g, "", err
			}
			g.full = append(g.full, fullTerm{op, v})
			all = append(all, op+number+suffix)
		default:
			numbers = append(numbers, op+number+suffix)
			all = append(all, op+number+suffix)
		}
	}
	if len(numbers) > 0 {
		if g.numbers, err = semver.NewConstraint(strings.Join(numbers, " ")); err != nil {
			return g, "", err
		}
		g.numbers.IncludePrerelease = true
	}
	return g, strings.Join(all, " "), nil
}

// plainComparison reports whether a term is a comparison with a full version, or as
// good as one: missing numbers are 0 behind >= and <.
func plainComparison(op, number string) bool {
	if strings.ContainsAny(number, "xX*") || op == "~" || op == "^" {
		return false
	}
	return strings.Count(number, ".") == 2 || op == ">=" || op == "<"
}

// parseTerm reads a term's version if it ends in a release number.
func parseTerm(op, epoch, text string) (term releaseTerm, hasRelease bool, err error) {
	number, release, found := cutRelease(text)
	if !found {
		if i := strings.LastIndexByte(text, '-'); i >= 0 {
			if _, err = parseNumber(text); err == nil && text[i:] != "-0" && isNumber(text[i+1:]) {
				err = fmt.Errorf("release number %s is too large", text[i+1:])
			}
		}
		return term, false, err
	}
	if op == "^" || op == "~" {
		return term, false, fmt.Errorf("%s%s: %s takes no release number", op, text, op)
	}
	if epoch != "" {
		text = epoch + ":" + text
	}
	e, _, err := cutEpoch(text)
	if err != nil {
		return term, false, err
	}
	v, err := New(e, number, release)
	return releaseTerm{op, v}, true, err
}

// Exactly returns the constraint that allows one version, release and epoch
// included; whatever the epoch if v has none.
func Exactly(v Version) Constraint {
	op := "="
	return Constraint{text: op + v.String(), groups: []group{{releases: []releaseTerm{{op, v}}}}}
}

// Any reports whether the constraint allows every version.
func (c Constraint) Any() bool { return len(c.groups) == 0 }

// Allows reports whether v fulfils the constraint.
func (c Constraint) Allows(v Version) bool {
	if c.Any() {
		return true
	}
	if v.Semver == nil {
		return false
	}
	for _, g := range c.groups {
		if g.allows(v) {
			return true
		}
	}
	return false
}

func (g group) allows(v Version) bool {
	if g.numbers != nil && !g.numbers.Check(v.Semver) {
		return false
	}
	for _, term := range g.full {
		if !compares(term.op, v.Semver.Compare(term.version)) {
			return false
		}
	}
	for _, term := range g.releases {
		if !term.allows(v) {
			return false
		}
	}
	return true
}

func (t releaseTerm) allows(v Version) bool {
	if t.version.Epoch == 0 {
		v.Epoch = 0
	}
	if t.version.Release == 0 {
		v.Release = 0
	}
	return compares(t.op, v.Compare(t.version))
}

// compares reports whether an order (-1, 0, +1) is what an operator asks for.
func compares(op string, order int) bool {
	switch op {
	case "!=":
		return order != 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	default:
		return order == 0
	}
}

// String returns the canonical text: one space between terms, none after an
// operator, "" when everything is allowed.
func (c Constraint) String() string { return c.text }

// MarshalText returns the canonical text.
func (c Constraint) MarshalText() ([]byte, error) { return []byte(c.text), nil }

// UnmarshalText is [ParseConstraint].
func (c *Constraint) UnmarshalText(text []byte) (err error) {
	*c, err = ParseConstraint(string(text))
	return err
}
