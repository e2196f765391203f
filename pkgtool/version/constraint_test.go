package version

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"
)

func TestAllows(t *testing.T) {
	for _, c := range []struct{ constraint, yes, no string }{
		{"", "0.0.1-1 1.0.0-rc.1-1 3:9.0.0-7", ""},
		{"*", "0.0.1-1 1.0.0-rc.1-1", ""},
		{"^3.0", "3.0.0-1 3.9.1-2 1:3.1.0-1", "2.9.9-1 4.0.0-1 3.0.0-rc.1-1 4.0.0-rc.1-1"},
		{"^0.2.3", "0.2.3-1 0.2.9-1", "0.3.0-1 0.2.2-1"},
		{"~1.2.3", "1.2.3-1 1.2.9-1", "1.3.0-1 1.2.2-9"},
		{">=2.36 <3", "2.36.0-1 2.99.0-1 3.0.0-rc.1-1", "2.35.9-1 3.0.0-1"},
		{">= 2.36, < 3", "2.36.0-1", "3.0.0-1"},
		{"1.x || >=3", "1.0.0-1 1.9.0-1 3.0.0-1", "2.0.0-1 0.9.0-1"},
		{"=9.2.1-3", "9.2.1-3 1:9.2.1-3", "9.2.1-2 9.2.1-4 9.2.2-3"},
		{"9.2.1-3", "9.2.1-3", "9.2.1-2"},
		{"=1:9.2.1-3", "1:9.2.1-3", "9.2.1-3"},
		{">=1:2.0.0 <2:0.0.0", "1:2.0.0-1 1:3.0.0-1", "2.0.0-1 1:1.9.9-9 2:0.0.0-1"},
		{"=1:9.2.1", "1:9.2.1-1 1:9.2.1-3", "9.2.1-3 2:9.2.1-1"},
		{">=9.2.1-3", "9.2.1-3 9.2.1-4 9.3.0-1", "9.2.1-2 9.2.0-9"},
		{">=9.2.1-3 <10", "9.2.1-3 9.9.0-1", "10.0.0-1 9.2.1-1"},
		{"<9.2.1-3", "9.2.1-2", "9.2.1-3"},
		{"<=9.2.1-3", "9.2.1-3", "9.2.1-4"},
		{">9.2.1-3", "9.2.1-4", "9.2.1-3"},
		{"!=9.2.1-3", "9.2.1-2", "9.2.1-3"},
		{"!=9.2.1", "9.2.2-1", "9.2.1-1 9.2.1-3"},
		{"=9.2.1", "9.2.1-1 9.2.1-8", "9.2.2-1"},
		{"=1.0.0-rc.1", "1.0.0-rc.1-1 1.0.0-rc.1-2", "1.0.0-1"},
		{"=1.0.0-rc.1-2", "1.0.0-rc.1-2", "1.0.0-rc.1-1"},
		{">=1 <2.0.0-0", "1.9.0-1", "2.0.0-rc.1-1 2.0.0-1"},
		{">2", "3.0.0-1", "2.1.0-1"},
	} {
		parsed, err := ParseConstraint(c.constraint)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, v := range strings.Fields(c.yes) {
			if !parsed.Allows(mustParse(t, v)) {
				t.Errorf("%q does not allow %s", c.constraint, v)
			}
		}
		for _, v := range strings.Fields(c.no) {
			if parsed.Allows(mustParse(t, v)) {
				t.Errorf("%q allows %s", c.constraint, v)
			}
		}
	}
}

func TestConstraintRefuses(t *testing.T) {
	for _, text := range []string{
		">", "1 - 2", "||", "1 ||", "|| 1", ">=v1", "=01.2", ">=1.2.3+x", "^1.2.3-4", "~1.2.3-4", "=1.2-3", "=1.2.x-rc.1",
		"1:2", "^1:2.0.0", "=1:1.2.x", "=0:1.2.3-1", "&1", ">=1<2", "1.2.3.4", "=1.2.3-", "=1.2.3-a..b", "foo", ">=99999999999999999999999",
		strings.Repeat(">=1 ", 200), strings.Repeat("1||", 40) + "1", "=1.2.3-4294967296",
	} {
		if c, err := ParseConstraint(text); err == nil {
			t.Errorf("%q parsed as %q", text, c)
		}
	}
}

func TestCanonicalConstraint(t *testing.T) {
	for text, want := range map[string]string{
		"*": "", "  ": "", ">= 1.2,<3": ">=1.2 <3", "=>1": ">=1", "=<1": "<=1", "~>1.2": "~1.2", "1.x||  ^3": "1.x || ^3",
	} {
		c, err := ParseConstraint(text)
		if err != nil || c.String() != want {
			t.Errorf("%q gives %q, %v; want %q", text, c, err, want)
		}
	}
}

// The comparison operators must agree with Compare on release pins, and a
// canonical text must mean what the text it came from means.
func TestConstraintProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genVersion().Draw(t, "a"), genVersion().Draw(t, "b")
		a.Epoch, b.Epoch = 0, 0
		for op, want := range map[string]bool{
			"=": a.Compare(b) == 0, "!=": a.Compare(b) != 0, "<": a.Compare(b) < 0,
			"<=": a.Compare(b) <= 0, ">": a.Compare(b) > 0, ">=": a.Compare(b) >= 0,
		} {
			text := fmt.Sprintf("%s %s", op, b)
			c, err := ParseConstraint(text)
			if err != nil {
				t.Fatal(err)
			}
			if c.Allows(a) != want {
				t.Fatalf("%q allows %s: %v", text, a, !want)
			}
			again, err := ParseConstraint(c.String())
			if err != nil || again.String() != c.String() || again.Allows(a) != want {
				t.Fatalf("%q again: %q, %v", c, again, err)
			}
		}
	})
}

// termPattern is the grammar of a term as a regular expression.
var termPattern = regexp.MustCompile(
	`^(=|!=|>=|=>|<=|=<|>|<|~>|~|\^)?[ \t]*(?:([1-9][0-9]*):)?` +
		`((?:0|[1-9][0-9]*|[xX*])(?:\.(?:0|[1-9][0-9]*|[xX*])){0,2})(-[0-9A-Za-z.-]+)?(?:[ \t,]+|$)`)

func FuzzCutTerm(f *testing.F) {
	for _, s := range []string{">=1.2 <3", "=1:1.2.3-4", "~>1.x", "=>1.2.3-rc.1, 4", "^0", "! 1", "!=1", "1.2.3.4", "1..2", "01", "0:1", "1:", "=1.2-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		op, epoch, number, suffix, rest, ok := cutTerm(text)
		m := termPattern.FindStringSubmatch(text)
		if ok != (m != nil) {
			t.Fatalf("%q: %v, but by the grammar %q", text, ok, m)
		}
		if ok && (op != m[1] || epoch != m[2] || number != m[3] || suffix != m[4] || rest != text[len(m[0]):]) {
			t.Fatalf("%q: %q %q %q %q %q, but by the grammar %q", text, op, epoch, number, suffix, rest, m)
		}
	})
}

// What is judged here must be judged as the semver library does.
func TestFullVersionsAgreeWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, bound := genVersion().Draw(t, "version"), genVersion().Draw(t, "bound")
		number := bound.Semver.String()
		if rapid.Bool().Draw(t, "short") {
			number = fmt.Sprintf("%d.%d", bound.Semver.Major(), bound.Semver.Minor())[:rapid.SampledFrom([]int{1, 3}).Draw(t, "numbers")]
		}
		text := rapid.SampledFrom([]string{"", "=", "!=", "<", "<=", "=<", ">", ">=", "=>"}).Draw(t, "op") + number
		ours, err := ParseConstraint(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(ours.groups[0].full) == 0 {
			return // it names a release, or is left to the library
		}
		theirs, err := semver.NewConstraint(text)
		if err != nil {
			t.Fatal(err)
		}
		theirs.IncludePrerelease = true
		if ours.Allows(v) != theirs.Check(v.Semver) {
			t.Fatalf("%q allows %s: %v, the library says %v", text, v, ours.Allows(v), theirs.Check(v.Semver))
		}
	})
}

func FuzzParseConstraint(f *testing.F) {
	for _, s := range []string{"^3.0", "~1.2.3", ">=2.36 <3", "=9.2.1-3", "1.x || >=3", "=1:9.2.1-3", "*", ">= 1, <2"} {
		f.Add(s)
	}
	probe := mustParse(f, "1.2.3-rc.1-4")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConstraint(text)
		if err != nil {
			return
		}
		again, err := ParseConstraint(c.String())
		if err != nil || again.String() != c.String() || again.Allows(probe) != c.Allows(probe) {
			t.Fatalf("%q: canonical %q gives %q, %v", text, c, again, err)
		}
	})
}
