package debian

import (
	"os/exec"
	"testing"
)

// versions are in dpkg's order but for those marked as equal to the one before.
var versions = []struct {
	text  string
	equal bool
}{
	{"0~~", false}, {"0~", false}, {"0", false}, {"0:0", true}, {"0-1", false}, {"1.0~rc1-1", false}, {"1.0-1~deb12u1", false}, {"1.0-1", false},
	{"1.0-1+b2", false}, {"1.0-1+b10", false}, {"1.0a-1", false}, {"1.0+dfsg-1", false}, {"1.0.1-1", false}, {"1.00.1-1", true}, {"1.9-1", false},
	{"1.10-1", false}, {"20221126123456-1", false}, {"1:0.1-1", false}, {"2:0", false},
}

// TestRanksAreDpkgsOrder asks dpkg about every pair of versions.
func TestRanksAreDpkgsOrder(t *testing.T) {
	r := NewRanks()
	for _, v := range versions {
		r.Add("demo", v.text)
	}
	if err := r.Order(); err != nil {
		t.Fatal(err)
	}
	for _, a := range versions {
		for _, b := range versions {
			ra, rb := r.ranks["demo"][a.text], r.ranks["demo"][b.text]
			operator := "eq"
			if ra < rb {
				operator = "lt"
			} else if ra > rb {
				operator = "gt"
			}
			if err := exec.Command("dpkg", "--compare-versions", a.text, operator, b.text).Run(); err != nil {
				t.Errorf("ranks say %s %s %s, dpkg does not", a.text, operator, b.text)
			}
		}
	}
	rank := 0
	for _, v := range versions {
		if !v.equal {
			rank++
		}
		if got := r.ranks["demo"][v.text]; got != rank {
			t.Errorf("%s has rank %d, want %d", v.text, got, rank)
		}
	}
}

func TestRanksRefuseWhatIsNoVersion(t *testing.T) {
	r := NewRanks()
	r.Add("demo", "one")
	if err := r.Order(); err == nil {
		t.Error("a version without a number was taken")
	}
}
