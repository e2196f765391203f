package version

import (
	"fmt"
	"regexp"
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

// group is one "and" list: the terms on the semantic version, which the semver
// library judges, and those with a release, which are judged here.
type group struct {
	numbers  *semver.Constraints // nil when there is none
	releases []releaseTerm
}

type releaseTerm struct {
	op      string
	version Version
}

// A term is an operator and a version of one to three numbers (or x for any);
// only a full version may have a suffix: pre-release, release number, or both.
var termPattern = regexp.MustCompile(
	`^(=|!=|>=|=>|<=|=<|>|<|~>|~|\^)?[ \t]*(?:([1-9][0-9]*):)?` +
		`((?:0|[1-9][0-9]*|[xX*])(?:\.(?:0|[1-9][0-9]*|[xX*])){0,2})(-[0-9A-Za-z.-]+)?(?:[ \t,]+|$)`)

// The operators' canonical spellings.
var spelling = map[string]string{"": "", "=>": ">=", "=<": "<=", "~>": "~"}

// ParseConstraint reads a constraint in the language of the semver library
// (https://github.com/Masterminds/semver): "^3.0", "~1.2.3", ">=2.36 <3",
// "1.x || >=3". An empty text or "*" allows everything.
//
// The condition is on the semantic version. A term whose version ends in
// "-number" means the release too: "=9.2.1-3" is exactly that build, and
// ">=9.2.1-3" any from it on; ^ and ~ take no release. An epoch is looked at
// only in such a term. Pre-releases count as ordinary versions: ">=1" allows
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
		m := termPattern.FindStringSubmatch(rest)
		if m == nil {
			return g, "", fmt.Errorf("%q is not an operator and a version such as >=1.2", rest)
		}
		rest = rest[len(m[0]):]
		op, epoch, number, suffix := m[1], m[2], m[3], m[4]
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
		case epoch != "":
			return g, "", fmt.Errorf("epoch in %s needs a release number after the version", m[0])
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
	order := v.Compare(t.version)
	switch t.op {
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
