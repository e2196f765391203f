package version

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustParse(t testing.TB, text string) Version {
	t.Helper()
	v, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOrder(t *testing.T) {
	ascending := []string{
		"0.0.1-1", "1.0.0-alpha-1", "1.0.0-alpha.1-1", "1.0.0-rc.2-1", "1.0.0-rc.10-1",
		"1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.1-1", "20221126.0.0-1", "1:0.1.0-1", "2:0.0.1-1",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			got := mustParse(t, a).Compare(mustParse(t, b))
			if want := min(1, max(-1, i-j)); got != want {
				t.Errorf("Compare(%s, %s) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "1", "1.2.3", "1.2-1", "1.2.3-0", "1.2.3-01", "1.2.3-", "01.2.3-1", "v1.2.3-1", "1.2.3+x-1",
		"0:1.2.3-1", "+1:1.2.3-1", "01:1.2.3-1", ":1.2.3-1", "x:1.2.3-1", "4294967296:1.2.3-1", "1.2.3-4294967296",
		" 1.2.3-1", "1.2.3-1 ", "1.2.3-rc..1-1", "1.2.3-01-1", "1.2.3-1234567890123456789-1", "1.2.3\n-1",
		"99999999999999999999.0.0-1", "1.0.0-" + strings.Repeat("a", 300) + "-1", "1.2.3.4-1", "9.2p1-1",
	} {
		if v, err := Parse(text); err == nil {
			t.Errorf("%q parsed as %s", text, v)
		}
	}
}

func genVersion() *rapid.Generator[Version] {
	return rapid.Custom(func(t *rapid.T) Version {
		number := rapid.StringMatching(`[0-3]\.[0-3]\.[0-3](-([a-c]|1?[0-9]|[a-c]-[0-2])(\.([a-c]|[0-9]))?)?`).Draw(t, "number")
		v, err := New(rapid.Uint32Range(0, 2).Draw(t, "epoch"), number, rapid.Uint32Range(1, 3).Draw(t, "release"))
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
}

func TestOrderIsTotalAndTextIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := genVersion().Draw(t, "a"), genVersion().Draw(t, "b"), genVersion().Draw(t, "c")
		if a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%s and %s: order depends on direction", a, b)
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%s <= %s <= %s, but not %s <= %s", a, b, c, a, c)
		}
		if (a.Compare(b) == 0) != (a.String() == b.String()) {
			t.Fatalf("%s and %s: equal order and equal text disagree", a, b)
		}
		again, err := Parse(a.String())
		if err != nil || again.Compare(a) != 0 {
			t.Fatalf("%s parsed again: %s, %v", a, again, err)
		}
	})
}

func TestTextMarshalling(t *testing.T) {
	var v Version
	if err := v.UnmarshalText([]byte("1:2.0.0-rc.1-4")); err != nil || v.String() != "1:2.0.0-rc.1-4" {
		t.Fatalf("%s, %v", v, err)
	}
	if err := v.UnmarshalText(nil); err != nil || v.String() != "" || v.Compare(Version{}) != 0 {
		t.Fatalf("zero value: %q, %v", v, err)
	}
	if v.Compare(mustParse(t, "0.0.0-1")) != -1 {
		t.Fatal("no version is not the oldest")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.2.3-4", "1:2.0.0-rc.1-4", "1.2.3-rc-1-4", "0:1.0.0-1", "1.2.3-1+x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse(text)
		if err == nil && v.String() != text {
			t.Fatalf("%q is accepted but prints as %q", text, v)
		}
	})
}

// A million triples of versions, from few parts so that equal and near ones are
// frequent: the order is total, and equal versions have equal texts.
func TestOrderIsTotalOnAMillionTriples(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{"0", "1", "2", "10", "a", "b", "rc", "a-1", "1a", "alpha"}
	var versions []Version
	for range 1000 {
		number := fmt.Sprintf("%d.%d.%d", random.IntN(3), random.IntN(2), random.IntN(2))
		if random.IntN(3) > 0 {
			number += "-" + parts[random.IntN(len(parts))]
			if random.IntN(2) == 0 {
				number += "." + parts[random.IntN(len(parts))]
			}
		}
		v, err := New(uint32(max(0, random.IntN(4)-2)), number, uint32(1+random.IntN(3)))
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, v)
	}
	for range 1_000_000 {
		a, b, c := versions[random.IntN(1000)], versions[random.IntN(1000)], versions[random.IntN(1000)]
		ab, bc, ac := a.Compare(b), b.Compare(c), a.Compare(c)
		if ab != -b.Compare(a) || (ab == 0) != (a.String() == b.String()) {
			t.Fatalf("%s and %s compare as %d", a, b, ab)
		}
		if ab <= 0 && bc <= 0 && (ac > 0 || ac == 0 && ab+bc != 0) || ab >= 0 && bc >= 0 && (ac < 0 || ac == 0 && ab+bc != 0) {
			t.Fatalf("%s, %s, %s compare as %d, %d, but the ends as %d", a, b, c, ab, bc, ac)
		}
	}
}
