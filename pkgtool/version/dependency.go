package version

import (
	"fmt"
	"iter"
	"strings"
)

// maxName bounds the text of a package or capability name in bytes.
const maxName = 200

// maxAlternatives bounds the number of alternatives in one dependency.
const maxAlternatives = 500

// Dependency names a package or capability and the versions that will do. It
// is what requires, recommends, supplements, conflicts and replaces are made of.
//
// A dependency with alternatives is fulfilled by any of them. Where it forbids
// (conflicts, replaces), it forbids each of them.
type Dependency struct {
	Name       string
	Constraint Constraint
	Or         []Dependency // further alternatives, which have none themselves
}

// ParseDependency reads "name", "name >=1.2 <3", "soname(libz.so.1)",
// "pkgconfig(zlib) >=1.2", or alternatives "a | b >=2 | soname(x)". A single
// bar separates alternatives; a double one belongs to a constraint.
func ParseDependency(text string) (Dependency, error) {
	return parseDependency(text, cutName)
}

// ParseForeignDependency is [ParseDependency] for names of any system: they are
// visible ASCII characters outside of | , < > = ! ~ ^ @, and between matching
// parentheses these too, as in "libz.so.1()(64bit)".
func ParseForeignDependency(text string) (Dependency, error) {
	return parseDependency(text, cutForeignName)
}

func parseDependency(text string, cut nameCutter) (Dependency, error) {
	first, rest, more := cutAlternative(text)
	d, err := parseAlternative(first, cut)
	for more && err == nil {
		var next Dependency
		first, rest, more = cutAlternative(rest)
		if next, err = parseAlternative(first, cut); err == nil {
			d.Or = append(d.Or, next)
		}
	}
	if len(d.Or) >= maxAlternatives {
		return Dependency{}, fmt.Errorf("dependency %.60q... has more than %d alternatives", text, maxAlternatives)
	}
	if err != nil && first != text {
		err = fmt.Errorf("dependency %q: %w", text, err)
	}
	return d, err
}

// cutAlternative splits text at the first bar that separates alternatives:
// one that stands alone and outside of parentheses.
func cutAlternative(text string) (first, rest string, found bool) {
	bar := strings.IndexByte(text, '|')
	if bar < 0 {
		return text, "", false
	}
	for i, inside := 0, false; i < len(text); i++ {
		switch c := text[i]; {
		case c == '(':
			inside = true
		case c == ')':
			inside = false
		case c != '|' || inside:
		case strings.HasPrefix(text[i:], "||"):
			i++
		default:
			return strings.Trim(text[:i], " \t"), strings.Trim(text[i+1:], " \t"), true
		}
	}
	return text, "", false
}

func parseAlternative(text string, cut nameCutter) (Dependency, error) {
	name, rest, err := cut(text)
	if err != nil {
		return Dependency{}, fmt.Errorf("dependency %q: %w", text, err)
	}
	c, err := ParseConstraint(rest)
	if err != nil {
		return Dependency{}, fmt.Errorf("dependency %q: %w", text, err)
	}
	return Dependency{Name: name, Constraint: c}, nil
}

// String returns the canonical text, which [ParseDependency] reads.
func (d Dependency) String() string {
	text := d.Name
	if !d.Constraint.Any() {
		text += " " + d.Constraint.String()
	}
	for _, other := range d.Or {
		text += " | " + other.String()
	}
	return text
}

// Alternatives yields each alternative as a dependency without alternatives,
// the first one first.
func (d Dependency) Alternatives() iter.Seq[Dependency] {
	return func(yield func(Dependency) bool) {
		if !yield(Dependency{Name: d.Name, Constraint: d.Constraint}) {
			return
		}
		for _, other := range d.Or {
			if !yield(other) {
				return
			}
		}
	}
}

// MarshalText returns the canonical text.
func (d Dependency) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is [ParseDependency].
func (d *Dependency) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDependency(string(text))
	return err
}

// SatisfiedBy reports whether the provide has the name and an allowed version of
// one of the alternatives. A provide without a version satisfies only a
// dependency without a constraint.
func (d Dependency) SatisfiedBy(p Provide) bool {
	for _, other := range d.Or {
		if other.SatisfiedBy(p) {
			return true
		}
	}
	if d.Name != p.Name {
		return false
	}
	if d.Constraint.Any() {
		return true
	}
	return p.Version != nil && d.Constraint.Allows(*p.Version)
}

// Provide is a name that a package answers to, besides its own, which every
// package provides with its own version.
type Provide struct {
	Name    string
	Version *Version // nil when the provide has no version
}

// ParseProvide reads "name" or "name = version". The release may be left out
// and the semantic version may be short: "pkgconfig(zlib) = 1.2" is 1.2.0.
func ParseProvide(text string) (Provide, error) {
	return parseProvide(text, cutName)
}

// ParseForeignProvide is [ParseProvide] for names as [ParseForeignDependency]
// takes them.
func ParseForeignProvide(text string) (Provide, error) {
	return parseProvide(text, cutForeignName)
}

func parseProvide(text string, cut nameCutter) (Provide, error) {
	name, rest, err := cut(text)
	if err != nil {
		return Provide{}, fmt.Errorf("provide %q: %w", text, err)
	}
	if rest == "" {
		return Provide{Name: name}, nil
	}
	after, found := strings.CutPrefix(rest, "=")
	if !found {
		return Provide{}, fmt.Errorf("provide %q: want = and a version after the name", text)
	}
	v, err := parseProvided(strings.Trim(after, " "))
	if err != nil {
		return Provide{}, fmt.Errorf("provide %q: %w", text, err)
	}
	return Provide{name, &v}, nil
}

func parseProvided(text string) (Version, error) {
	epoch, text, err := cutEpoch(text)
	if err != nil {
		return Version{}, err
	}
	number, release, _ := cutRelease(text)
	for missing := 2 - strings.Count(number, "."); missing > 0 && !strings.Contains(number, "-"); missing-- {
		number += ".0"
	}
	s, err := parseNumber(number)
	if err != nil {
		return Version{}, err
	}
	return Version{epoch, s, release}, nil
}

// String returns the canonical text, which [ParseProvide] reads.
func (p Provide) String() string {
	if p.Version == nil {
		return p.Name
	}
	return p.Name + " = " + p.Version.String()
}

// CheckName returns an error unless name can be a package's name: lower-case
// letters, digits and + . _ -, beginning with a letter or digit.
func CheckName(name string) error {
	if !isPackageName(name) {
		return fmt.Errorf("name %.60q is not lower-case letters, digits and + . _ - beginning with a letter or digit", name)
	}
	return nil
}

// IsCapability reports whether name is a capability such as "soname(libz.so.1)"
// rather than a package's name.
func IsCapability(name string) bool { return strings.HasSuffix(name, ")") }

// nameCutter splits a dependency or provide into its name and what follows.
type nameCutter func(text string) (name, rest string, err error)

// cutName splits a dependency or provide into its name and what follows.
func cutName(text string) (name, rest string, err error) {
	if open := strings.IndexByte(text, '('); open >= 0 && isKind(text[:open]) {
		shut := strings.IndexByte(text[open:], ')')
		if shut < 0 {
			return "", "", fmt.Errorf("the parenthesis is not closed")
		}
		name, rest = text[:open+shut+1], text[open+shut+1:]
		if inner := name[open+1 : len(name)-1]; inner == "" || strings.ContainsFunc(inner, isForbidden) {
			return "", "", fmt.Errorf("%q is not a capability such as soname(libz.so.1)", name)
		}
	} else {
		end := strings.IndexAny(text, " \t<>=!~^")
		if end < 0 {
			end = len(text)
		}
		name, rest = text[:end], text[end:]
		if err := CheckName(name); err != nil {
			return "", "", err
		}
	}
	if len(name) > maxName {
		return "", "", fmt.Errorf("the name is longer than %d bytes", maxName)
	}
	return name, strings.Trim(rest, " \t"), nil
}

// cutForeignName is cutName for names of any system.
func cutForeignName(text string) (name, rest string, err error) {
	end, depth := 0, 0
scan:
	for ; end < len(text); end++ {
		switch c := text[end]; {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c <= ' ' || c > '~' || depth == 0 && strings.IndexByte("|,<>=!~^@", c) >= 0:
			break scan
		}
		if depth < 0 {
			break
		}
	}
	name, rest = text[:end], text[end:]
	switch {
	case name == "":
		return "", "", fmt.Errorf("%.60q does not begin with a name", text)
	case depth != 0:
		return "", "", fmt.Errorf("the parentheses in %.60q do not match", name)
	case len(name) > maxName:
		return "", "", fmt.Errorf("the name is longer than %d bytes", maxName)
	}
	return name, strings.Trim(rest, " \t"), nil
}

func isPackageName(s string) bool {
	if s == "" || len(s) > maxName || strings.Trim(s[:1], lower+digits) != "" {
		return false
	}
	return strings.Trim(s, lower+digits+"+._-") == ""
}

// isKind reports whether s can stand before the parenthesis of a capability.
func isKind(s string) bool {
	return s != "" && strings.Trim(s[:1], lower) == "" && strings.Trim(s, lower+digits+"-") == ""
}

// isForbidden reports whether r cannot be inside a capability's parentheses.
func isForbidden(r rune) bool {
	return r <= ' ' || r > '~' || r == '(' || r == '"' || r == '\\'
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
)
